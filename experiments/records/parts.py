"""What results are made of: a frozen part, a value with its interval, a share with its counts."""

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A frozen part of a result; fields of a later version are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Figure(Part):
    """A value with its 95% cluster-bootstrap interval; null where undefined."""

    value: float | None = Field(None, description="the estimate")
    low: float | None = Field(None, description="lower end of the interval")
    high: float | None = Field(None, description="upper end of the interval")

    @property
    def above(self) -> float:
        """The lower end; minus infinity where there is no interval, so that nothing is claimed of it."""
        return float("-inf") if self.low is None else self.low


class Rate(Figure):
    """A share with what it was counted from."""

    numerator: float | None = Field(None, description="rows that are counted in the share")
    denominator: float | None = Field(None, description="rows that the share is taken of")
