"""What ``comparison.json`` holds of monitoring: monitorability, recall at a monitor's rate, and cascades."""

from pydantic import Field

from experiments.records.parts import Figure, Part


class GMean(Part):
    """Sensitivity and specificity at one operating point, and their product."""

    positives: int = Field(description="rows of the positive class")
    negatives: int = Field(description="rows of the negative class")
    sensitivity: Figure = Field(description="share of positives that are flagged")
    specificity: Figure = Field(description="share of negatives that are not flagged")
    g_mean2: Figure = Field(
        description="sensitivity × specificity, the square of their geometric mean; 0.25 for coin flips"
    )


class Monitorability(Part):
    """How well a detector tells both classes at its own operating point (arXiv 2512.18311)."""

    at: str = Field(description="the operating point")
    every: GMean = Field(description="figures on all rows")
    filtered: GMean | None = Field(
        None,
        description="figures on rows whose label is confirmed by the other half of their item's rollouts (cross-fit)",
    )
    not_filtered: str = Field("", description="why there are no filtered figures")


class AtRate(Part):
    """A detector at the false-positive rate of a judge or monitor."""

    recall: Figure = Field(description="recall of the detector")
    realised_fpr: Figure = Field(description="false-positive rate on the held-out rows")
    recall_minus: Figure = Field(description="paired difference: this recall minus the judge's own")


class CascadePoint(Part):
    """A cascade that asks the judge about some of the rows."""

    share: float = Field(description="share of rows to be judged; the threshold for it is set on other folds")
    rows_judged: int = Field(description="rows that the judge reads")
    tokens: int = Field(description="tokens of the prompts and completions of these rows")
    recall: Figure = Field(description="recall at the threshold that flags 5% of the other folds' negatives")
    realised_fpr: Figure = Field(description="false-positive rate on the held-out rows at that threshold")
    auroc: float | None = Field(description="AUROC within kind × direction; null where undefined")
    recall_at_random: float | None = Field(
        None,
        description="mean recall if the same number of rows is picked at random for judging; null at shares 0 and 1",
    )


class Cascade(Part):
    """A probe on every row, and a judge on those nearest to the probe's threshold."""

    probe: str = Field(description="the probe")
    judge: str = Field(description="the judge or monitor")
    rows: int = Field(description="rows of the target")
    tokens: int = Field(description="tokens of all these rows: the cost of judging every row")
    points: tuple[CascadePoint, ...] = Field(description="results by share of rows judged")
