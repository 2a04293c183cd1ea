"""Where a camera's frames are, as numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["CameraCount", "OutletCount"]


@dataclass(frozen=True)
class OutletCount:
    """What became of the frames that one writer was given.

    Attributes:
        written: frames that it took.
        waiting: frames that wait for it, or that it is busy with.
        dropped: frames left out in front of it, by reason.
    """

    written: int
    waiting: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class CameraCount:
    """Where a camera's frames are, counted at one moment.

    Attributes:
        decoded: frames that the camera gave.
        waiting: frames on their way through the network.
        derained: frames that the network cleaned.
        bypassed: frames that left as they came, by reason.
        dropped: frames left out before the writers, by reason.
        outlets: by the writer's name.
    """

    decoded: int
    waiting: int
    derained: int
    bypassed: dict[str, int]
    dropped: dict[str, int]
    outlets: dict[str, OutletCount] = field(default_factory=dict)

    def missing(self) -> dict[str, int]:
        """Return how many frames are unaccounted for, by writer: 0 everywhere, at every moment."""
        before = sum(self.dropped.values()) + self.waiting
        return {
            name: self.decoded
            - before
            - (outlet.written + outlet.waiting + sum(outlet.dropped.values()))
            for name, outlet in self.outlets.items()
        }
