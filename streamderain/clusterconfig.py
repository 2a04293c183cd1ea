"""The ``cluster:`` section of the configuration: live cameras over the nodes of a Ray cluster."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from streamderain.configtypes import Curve, Seconds, Strict, TransportAddress

__all__ = ["ClusterConfig", "parse_ports"]

FIRST_PORT = 1024
"""Ports below are the system's."""

FEWEST_S = 2.0
"""Workers are asked twice a second, and a machine may be busy for a moment."""

_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def parse_ports(text: str) -> range:
    """Return the ports that ``FIRST-LAST`` means, both included.

    Raises:
        ValueError: it means none.
    """
    match = _PORTS.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not FIRST_PORT <= first <= last <= 65535:
        raise ValueError(
            f"ports are FIRST-LAST, such as 5600-5699, from {FIRST_PORT} to 65535, each node's own"
        )
    return range(first, last + 1)


def _tcp(text: str) -> str:
    if not text.startswith("tcp://"):
        raise ValueError("subscribers on all nodes read the book, so it is at tcp://HOST:PORT")
    return text


def _ports(value: object) -> object:
    if isinstance(value, str | int):
        parse_ports(str(value))
    return value


class ClusterConfig(Strict):
    """How ``streamderain run --ray`` spreads the cameras; see docs/clusters.md."""

    book: Annotated[TransportAddress, AfterValidator(_tcp)] = "tcp://127.0.0.1:5550"
    """Where the address book is published, on the machine of ``run --ray``; tcp://0.0.0.0:5550 for
    other machines."""
    curve: Curve | None = None
    """Encryption of the book; the same keys as those of the outputs."""
    cameras_per_worker: Annotated[int, Field(ge=1, le=64)] = 4
    """Cameras that run in one process and share its batches; with a GPU many, on CPUs few."""
    cpus: Annotated[float, Field(ge=0, le=1024)] = 1.0
    """What a worker takes of its node, by Ray's count."""
    gpus: Annotated[float, Field(ge=0, le=16)] = 0.0
    """What a worker takes of a GPU, such as 0.5; without, it sees none."""
    ports: Annotated[str, BeforeValidator(_ports)] | None = None
    """Ports of the nodes at which workers may publish, such as 5600-5699; null for any free one."""
    silence: Seconds = 5.0
    """So long without an answer, and a worker is replaced on another node; a worker that nobody
    asks for so long stops by itself. 2s or more."""

    @model_validator(mode="after")
    def _patient(self) -> Self:
        if self.silence < FEWEST_S:
            raise ValueError(
                f"silence: {self.silence:g} s is too short to tell a lost worker from a busy one; "
                f"{FEWEST_S:g}s or more"
            )
        if self.gpus > 1 and self.gpus % 1:
            raise ValueError(
                f"gpus: above 1 Ray gives whole ones; {int(self.gpus)} or {int(self.gpus) + 1}, "
                f"not {self.gpus:g}"
            )
        return self
