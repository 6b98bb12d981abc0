"""What ``comparison.json`` holds of monitoring: monitorability, recall at a monitor's rate, and cascades."""

from pydantic import Field

from experiments.records.parts import Figure, Part


class GMean(Part):
    """Sensitivity and specificity at one operating point, and their product."""

    positives: int = Field(description="rows of the positive class")
    negatives: int = Field(description="rows of the negative class")
    sensitivity: Figure = Field(description="share of the positives that is flagged")
    specificity: Figure = Field(description="share of the negatives that is not")
    g_mean2: Figure = Field(description="their product, the square of the geometric mean; 0.25 for coin flips")


class Monitorability(Part):
    """How well a detector tells both classes at its own operating point (arXiv 2512.18311)."""

    at: str = Field(description="the operating point")
    every: GMean = Field(description="on all rows")
    filtered: GMean | None = Field(
        None, description="on rows whose label the other half of their item's rollouts bears out (cross-fit)"
    )
    not_filtered: str = Field("", description="why there is none")


class AtRate(Part):
    """A detector at the false-positive rate of a judge or monitor."""

    recall: Figure = Field(description="recall")
    realised_fpr: Figure = Field(description="false-positive rate on the held-out rows")
    recall_minus: Figure = Field(description="paired difference from the judge's own recall")


class CascadePoint(Part):
    """A cascade that asks the judge about some of the rows."""

    share: float = Field(description="share of rows to be judged, set on other folds")
    rows_judged: int = Field(description="rows that the judge reads")
    tokens: int = Field(description="tokens of their prompts and completions")
    recall: Figure = Field(description="recall where 5% of the other folds' negatives are flagged")
    realised_fpr: Figure = Field(description="false-positive rate on the held-out rows there")
    auroc: float | None = Field(description="AUROC within kind × direction; null where undefined")
    recall_at_random: float | None = Field(
        None, description="mean recall where as many rows, picked at random, are judged; null at shares 0 and 1"
    )


class Cascade(Part):
    """A probe on every row, and a judge on those nearest to the probe's threshold."""

    probe: str = Field(description="the probe")
    judge: str = Field(description="the judge or monitor")
    rows: int = Field(description="rows of the target")
    tokens: int = Field(description="tokens of all of them: what judging every row costs")
    points: tuple[CascadePoint, ...] = Field(description="by share of rows judged")
