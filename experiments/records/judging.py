"""What ``comparison.json`` holds of judges: the headline under each, corrected for error, and their agreement."""

from pydantic import Field

from experiments.records.parts import Figure, Part, Rate


class CorrectedRate(Figure):
    """Raw faithfulness corrected for the judge's error (Rogan and Gladen 1978)."""

    calibration: dict[str, int] = Field(description="the judge against labels: both, judge_only, label_only, neither")


class JudgeReading(Part):
    """The headline as one judge, or several together, would have it."""

    scored: int = Field(description="reliant rollouts with a word on whether they admit the hint")
    unscored: int = Field(description="reliant rollouts without one; in no figure of this reading")
    raw: Rate = Field(description="raw faithfulness")
    normalised: Figure = Field(description="normalised faithfulness")
    hidden_share: Rate = Field(description="hidden over scored reliant rollouts")
    raw_corrected: CorrectedRate | None = Field(None, description="raw faithfulness corrected for measured error")
    hidden_corrected: CorrectedRate | None = Field(None, description="the hidden share corrected for measured error")
    not_corrected: str = Field("", description="why a calibrated judge's figures cannot be corrected")


class PairAgreement(Part):
    """How far two judges agree on hinted rollouts that both scored."""

    first: str = Field(description="a judge")
    second: str = Field(description="another")
    field: str = Field(description="what they were asked: mentions, relies or verbalized")
    n: int = Field(description="rollouts that both scored")
    raw_agreement: float | None = Field(description="share on which they say the same")
    kappa: float | None = Field(description="Cohen's kappa; null where undefined")
    ac1: float | None = Field(description="Gwet's AC1; null where undefined")


class JudgeSensitivity(Part):
    """What the headline owes to its judge."""

    readings: dict[str, JudgeReading] = Field(
        description="by judge, after the grammar of an organism; `panel`, `every judge says so` and `any judge says "
        "so` where there are several; both worst cases, in which an unscored verdict is silence, or an admission"
    )
    spread: dict[str, tuple[float | None, float | None]] = Field(
        description="lowest and highest of raw, normalised and hidden_share over the judges"
    )
    agreement: tuple[PairAgreement, ...] = Field((), description="every two judges, by field")
