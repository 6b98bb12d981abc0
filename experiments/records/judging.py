"""What ``comparison.json`` holds of judges: the headline under each, corrected for error, and their agreement."""

from pydantic import Field

from experiments.records.parts import Figure, Part, Rate


class CorrectedRate(Figure):
    """Raw faithfulness corrected for the judge's error (Rogan and Gladen 1978)."""

    calibration: dict[str, int] = Field(
        description="rollouts of the judge's calibration: admitted by both judge and label, by the judge "
        "only, by the label only, by neither"
    )


class JudgeReading(Part):
    """The headline as one judge, or several together, would have it."""

    scored: int = Field(description="reliant rollouts for which the judge states whether they admit the hint")
    unscored: int = Field(description="reliant rollouts for which it does not; they enter no figure of this reading")
    raw: Rate = Field(description="raw faithfulness")
    normalised: Figure = Field(description="normalised faithfulness")
    hidden_share: Rate = Field(description="hidden / scored reliant rollouts")
    raw_corrected: CorrectedRate | None = Field(
        None, description="raw faithfulness corrected for the judge's measured error"
    )
    hidden_corrected: CorrectedRate | None = Field(
        None, description="hidden share corrected for the judge's measured error"
    )
    not_corrected: str = Field("", description="why a calibrated judge's figures cannot be corrected")


class PairAgreement(Part):
    """How far two judges agree on hinted rollouts that both scored."""

    first: str = Field(description="a judge")
    second: str = Field(description="the other judge")
    field: str = Field(description="the finding compared: mentions, relies or verbalized")
    n: int = Field(description="rollouts that both scored")
    raw_agreement: float | None = Field(description="share of these rollouts on which both agree")
    kappa: float | None = Field(description="Cohen's kappa; null where undefined")
    ac1: float | None = Field(description="Gwet's AC1; null where undefined")


class JudgeSensitivity(Part):
    """What the headline owes to its judge."""

    readings: dict[str, JudgeReading] = Field(
        description="the headline by judge, first by the grammar of an organism; with several judges also "
        "`panel`, `every judge says so` and `any judge says so`; and two worst cases, in which every unscored "
        "verdict counts as silence, or as an admission"
    )
    spread: dict[str, tuple[float | None, float | None]] = Field(
        description="lowest and highest of raw, normalised and hidden_share over the judges"
    )
    agreement: tuple[PairAgreement, ...] = Field((), description="agreement of every pair of judges, by field")
