"""An OpenAI-compatible server, as a configuration names it."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Endpoint(BaseModel):
    """An OpenAI-compatible server, and what may be spent on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field("", description="address of the server's API, such as http://127.0.0.1:8000/v1")
    model: str = Field("", description="name by which the server knows the model")
    served_as: str | None = Field(
        None,
        description="model name that replies must carry, if it is neither `model` nor a dated revision of "
        "it; a reply from another model is an error",
    )
    api_key_env: str | None = Field(
        None, description="environment variable that holds the key; the key itself is never written anywhere"
    )
    concurrency: int = Field(8, description="requests in flight at a time", ge=1, le=1024)
    retries: int = Field(6, description="retries of a request that failed, with back-off", ge=0, le=100)
    timeout: float = Field(600.0, description="seconds after which a request is given up", gt=0)
    limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="name of the field by which a chat request limits the completion"
    )
    max_requests: int | None = Field(None, description="budget: requests", ge=1)
    max_total_tokens: int | None = Field(None, description="budget: prompt and completion tokens", ge=1)
    max_cost: float | None = Field(None, description="budget: cost, in the currency of the prices", gt=0)
    price_in: float = Field(0.0, description="price of a million prompt tokens", ge=0)
    price_out: float = Field(0.0, description="price of a million completion tokens", ge=0)

    @field_validator("base_url")
    @classmethod
    def _no_secrets(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.username or parts.password or parts.query:
            raise ValueError("a base_url is written into results and must hold no user, password or query")
        if value and parts.scheme not in ("http", "https"):
            raise ValueError("a base_url begins with http:// or https://")
        return value
