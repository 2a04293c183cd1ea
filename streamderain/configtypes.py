"""What several sections of the configuration are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from streamderain.arguments import parse_duration
from streamderain.errors import UsageError

__all__ = ["Curve", "Seconds", "Strict", "TransportAddress"]


def _seconds(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
    return value


def _address(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme not in ("tcp", "ipc") or not rest:
        raise ValueError("an address is tcp://HOST:PORT or ipc:///PATH")
    if scheme == "tcp" and not rest.rpartition(":")[2].isdigit():
        raise ValueError("an address over tcp ends in a port, e.g. tcp://127.0.0.1:5555")
    return value


Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0, le=86400),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}],
            "description": "seconds, or text like 500ms, 10s, 2m, 1h",
        }
    ),
]
"""A duration."""

TransportAddress = Annotated[str, AfterValidator(_address)]
"""Where ZeroMQ publishes."""


class Strict(BaseModel):
    """A section: keys that aren't known are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Curve(Strict):
    """Encryption and access by keys, made with ``streamderain keys``."""

    secret_key: Path
    """File with the publisher's secret key, ``server.key_secret``."""
    clients: Path | None = None
    """Folder with the public keys of those who may read; without it, who knows the server's may."""
