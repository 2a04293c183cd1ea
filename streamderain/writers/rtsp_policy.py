"""When to go to the RTSP server, when to announce anew, what to say of it, and how: pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from streamderain.frame import Frame

__all__ = ["Fault", "Publishing", "RateWatch", "Timeline", "Waits"]

REFUSED_S = 60.0
"""Between two tries with a refused password: some servers lock an account after a few."""

STEADY_S = 20.0
"""A connection that lasted so long starts its backoff from the beginning."""

STEP_S = 10.0
"""A capture time that moves so much more or less than our own clock was set anew."""

TICKS = 90000
"""A second in RTP's units of H.264."""

OFF_BY = 1.25
"""An encoder that holds a bit rate is made anew where frames come so much faster or slower than it
was told."""

WATCHED_FRAMES = 50
"""Frames of which the rate is believed."""


class Waits(Protocol):
    """Gives the waits between tries; :class:`~streamderain.live.supervision.Backoff` is one."""

    def next(self) -> float:
        """Return the seconds until the next try."""
        ...

    def reset(self) -> None:
        """Start from the beginning."""
        ...


class Fault(StrEnum):
    """Why there is no connection."""

    LOST = "lost"
    """Not there, cut, doesn't answer, or doesn't take the stream now."""
    REFUSED = "refused"
    """User and password are refused."""


class Publishing:
    """One stream's connections to its server.

    Args:
        waits: between tries.
    """

    def __init__(self, waits: Waits) -> None:
        self._waits = waits
        self._up_since: float | None = None
        self._retry_at = float("-inf")
        self._said: str | None = None

    def may_connect(self, now: float) -> bool:
        """Whether a connection may be tried."""
        return now >= self._retry_at

    def up(self, now: float) -> bool:
        """Note that the server takes the stream; True where that is news."""
        news = self._said is not None or self._up_since is None
        self._up_since, self._said = now, None
        return news

    def down(self, fault: Fault, message: str, now: float) -> bool:
        """Note that it doesn't, or no more; True where that was not said yet."""
        if self._up_since is not None and now - self._up_since >= STEADY_S:
            self._waits.reset()
        wait = self._waits.next()
        self._retry_at = now + (max(wait, REFUSED_S) if fault is Fault.REFUSED else wait)
        news = message != self._said
        self._said = message
        return news


class Timeline:
    """Gives the frames of one announcement their timestamps, each later than the one before.

    Args:
        began_ns: capture time of the first frame, nanoseconds since 1970.
        now: monotonic seconds at which it came.

    Attributes:
        began_ns: what timestamp 0 means, a whole millisecond, as the sender reports say it.
    """

    def __init__(self, began_ns: int, now: float) -> None:
        self.began_ns = began_ns // 1_000_000 * 1_000_000
        self._last = -1
        self._taken, self._came = began_ns, now

    def stepped(self, taken_ns: int, now: float) -> bool:
        """Whether the clock that gives capture times was set since the last frame."""
        return abs((taken_ns - self._taken) / 1e9 - (now - self._came)) > STEP_S

    def stamp(self, taken_ns: int, now: float) -> int:
        """Return a frame's timestamp in units of 1/90000 s."""
        self._taken, self._came = taken_ns, now
        ticks = round((taken_ns - self.began_ns) * TICKS / 1e9)
        self._last = max(ticks, self._last + 1)
        return self._last


class RateWatch:
    """Measures how fast frames come, for encoders that divide a bit rate among them.

    Attributes:
        fps: frames a second, as far as it is known.
    """

    def __init__(self, fps: float = 25.0) -> None:
        self.fps = fps
        self._times: list[int] = []

    def observe(self, ticks: int) -> bool:
        """Note a frame's timestamp; True where :attr:`fps` has changed so much that it matters."""
        if self._times and ticks <= self._times[-1]:  # another announcement, which counts anew
            self._times.clear()
        self._times.append(ticks)
        if len(self._times) < WATCHED_FRAMES:
            return False
        passed = (self._times[-1] - self._times[0]) / TICKS
        found = (len(self._times) - 1) / passed
        self._times.clear()
        found = min(max(found, 0.1), 1000.0)
        if max(found / self.fps, self.fps / found) < OFF_BY:
            return False
        self.fps = found
        return True


def announcement_of(frame: Frame) -> tuple[object, ...]:
    """Return what must not change within an announcement."""
    return (frame.size, frame.session)
