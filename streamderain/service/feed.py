"""What a viewer gets next: pure, with the time handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamderain.service.shapes import StreamQuery

__all__ = ["Feed", "Watched"]

LOOK_S = 0.02
"""A camera that has nothing new is looked at again so soon,"""

LOOK_MOST_S = 0.25
"""and, as long as it has nothing, less and less often, down to this."""


@dataclass
class Watched:
    """A camera that a viewer watches.

    Attributes:
        wanted: view, width and rate.
        slot: when the next picture should go, monotonic seconds.
        due: when to look for it; later than ``slot`` where there was none.
        version: of the last picture that was sent, 0 before the first.
        unseen: that picture wasn't acknowledged yet.
        misses: how often in a row nothing new was there.
    """

    wanted: StreamQuery
    slot: float
    due: float
    version: int = 0
    unseen: bool = False
    misses: int = 0


class Feed:
    """Keeps a viewer's pictures apart and in pace.

    Of each camera one picture at a time is on its way to the viewer, and the next is only chosen
    once that one was acknowledged: a slow viewer gets fewer pictures, and never an old one.

    Args:
        acknowledges: False where the viewer can't (MJPEG): what was sent counts as seen.
    """

    def __init__(self, *, acknowledges: bool = True) -> None:
        self._acknowledges = acknowledges
        self._cameras: dict[str, Watched] = {}

    def __getitem__(self, camera: str) -> Watched:
        """Return what is known of a camera that is watched."""
        return self._cameras[camera]

    def __contains__(self, camera: str) -> bool:
        """Whether a camera is watched."""
        return camera in self._cameras

    def watch(self, wanted: Mapping[str, StreamQuery], now: float) -> None:
        """Watch these cameras and no others; one that is shown otherwise is sent anew at once."""
        before = self._cameras
        self._cameras = {}
        for camera, query in wanted.items():
            known = before.get(camera)
            if known is None:
                known = Watched(query, now, now)
            elif (known.wanted.view, known.wanted.width) != (query.view, query.width):
                known.version, known.slot, known.due, known.misses = 0, now, now, 0
            known.wanted = query
            self._cameras[camera] = known

    def ack(self, camera: str) -> None:
        """Note that a camera's last picture was drawn."""
        if camera in self._cameras:
            self._cameras[camera].unseen = False

    def due(self, now: float) -> list[str]:
        """Return the cameras of which a picture may go now, the one that waits longest first."""
        ready = [
            (watched.due, camera)
            for camera, watched in self._cameras.items()
            if not watched.unseen and watched.due <= now
        ]
        return [camera for _, camera in sorted(ready)]

    def next_due(self) -> float | None:
        """Return when :meth:`due` has something, or None while all wait for the viewer."""
        times = [watched.due for watched in self._cameras.values() if not watched.unseen]
        return min(times, default=None)

    def sent(self, camera: str, version: int, now: float) -> int:
        """Note that a picture goes; return how many before it were passed over."""
        watched = self._cameras.get(camera)
        if watched is None:
            return 0
        skipped = max(0, version - watched.version - 1) if watched.version else 0
        period = 1 / watched.wanted.fps
        watched.slot = watched.due = max(watched.slot + period, now + period / 2)
        watched.version, watched.unseen, watched.misses = version, self._acknowledges, 0
        return skipped

    def missed(self, camera: str, now: float) -> None:
        """Note that a camera had nothing new."""
        watched = self._cameras.get(camera)
        if watched is not None:
            watched.due = now + min(LOOK_S * 1.3**watched.misses, LOOK_MOST_S)
            watched.misses = min(watched.misses + 1, 50)
