"""What a worker tells whoever watches it: plain data that travels between machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from streamderain.cluster.livewatch import Phase

__all__ = ["CameraBrief", "LogLine", "WorkerReport"]


@dataclass(frozen=True)
class LogLine:
    """A line of a worker's log.

    Attributes:
        level: as in :mod:`logging`.
        message: without secrets.
        fields: what else was given with it.
    """

    level: int
    message: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CameraBrief:
    """A camera of a worker.

    Attributes:
        state, message: as in :class:`~streamderain.live.stats.CameraStats`, without secrets.
        addresses: where SUB sockets on other machines connect.
        push: where PULL sockets do.
    """

    state: str
    message: str | None
    addresses: tuple[str, ...] = ()
    push: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorkerReport:
    """A worker at one moment.

    Attributes:
        worker: id of the process.
        node: id of the node that it is on.
        host: that node's address.
        version: of streamderain there.
        phase: what it does; None while it was told nothing.
        problem: why it can't run its cameras, without secrets, or None.
        run: of the frames of its cameras, or None where it runs none.
        cameras: by id.
        log: what it has logged since the last report.
    """

    worker: str
    node: str
    host: str
    version: str
    phase: Phase | None = None
    problem: str | None = None
    run: str | None = None
    cameras: dict[str, CameraBrief] = field(default_factory=dict)
    log: tuple[LogLine, ...] = ()
