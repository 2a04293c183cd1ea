"""When a live picture was taken, and how that is known: pure, with the times handed in."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

__all__ = ["CaptureClock", "CaptureTime", "LagGuard", "RateLimiter"]

TimeSource = Literal["rtcp", "pts", "arrival"]

SECOND = 1_000_000_000

WRONG_CLOCK_S = 10
"""A camera's clock that is further off than this has never been set; its times are of no use."""

DRIFT_PPM = 200
"""How fast a camera's timestamps may fall behind our clock, in parts of a million."""


@dataclass(frozen=True, slots=True)
class CaptureTime:
    """When a picture was taken.

    Attributes:
        ns: nanoseconds since 1970, UTC.
        source: ``rtcp`` from the camera's clock, ``pts`` from when the picture with that timestamp
            should have come, ``arrival`` from when it came.
    """

    ns: int
    source: TimeSource


class CaptureClock:
    """Gives the pictures of one session their times, each later than the one before.

    From the camera's own clock where it tells it (RTCP sender reports, RFC 3550 section 6.4.1).
    Else from the timestamps: of all pictures so far, the one that came soonest after its timestamp
    tells what the others lost on the way; so jitter doesn't show, and only the shortest delay
    remains. Slow drift of the camera's crystal is followed. Without timestamps, from the arrival.

    Attributes:
        clock_off_s: by how much the camera's clock is off where it is too far off to be used,
            else None.
        lag_s: how much later the last picture came after its timestamp than the soonest did.
    """

    def __init__(self) -> None:
        self.clock_off_s: float | None = None
        self.lag_s = 0.0
        self._last = 0
        self._offset: int | None = None
        self._last_arrival = 0

    def stamp(
        self, pts_s: Fraction | None, arrival_ns: int, camera_ns: int | None = None
    ) -> CaptureTime:
        """Return when a picture was taken.

        Args:
            pts_s: its timestamp in seconds, or None.
            arrival_ns: when it came, nanoseconds since 1970.
            camera_ns: when the camera says that it took it, nanoseconds since 1970, or None.
        """
        time = self._from_pts(pts_s, arrival_ns)
        if camera_ns is not None:
            off = (camera_ns - arrival_ns) / SECOND
            if abs(off) <= WRONG_CLOCK_S:
                time, self.clock_off_s = CaptureTime(camera_ns, "rtcp"), None
            else:
                self.clock_off_s = off
        self._last = max(time.ns, self._last + 1)
        return CaptureTime(self._last, time.source)

    def _from_pts(self, pts_s: Fraction | None, arrival_ns: int) -> CaptureTime:
        if pts_s is None:
            return CaptureTime(arrival_ns, "arrival")
        pts_ns = int(pts_s * SECOND)
        offset = arrival_ns - pts_ns
        if self._offset is not None:
            passed = max(0, arrival_ns - self._last_arrival)
            offset = min(offset, self._offset + passed * DRIFT_PPM // 1_000_000)
        self._offset, self._last_arrival = offset, arrival_ns
        self.lag_s = (arrival_ns - pts_ns - offset) / SECOND
        return CaptureTime(pts_ns + offset, "pts")


class RateLimiter:
    """Says which frames are too many for a rate.

    Example::

        limiter = RateLimiter(10.0)
        [limiter.admits(index / 25) for index in range(6)]
        # [True, False, False, True, False, True]

    Args:
        fps: frames a second to let through, on average; None for all.
    """

    def __init__(self, fps: float | None) -> None:
        self._period = 0.0 if fps is None else 1 / fps
        self._due: float | None = None

    def admits(self, seconds: float) -> bool:
        """Whether the frame of that time goes through."""
        if not self._period:
            return True
        if self._due is None or seconds < self._due - 10 * max(1.0, self._period):
            self._due = seconds  # the first, or a clock that began anew
        if seconds < self._due - 0.1 * self._period:
            return False
        self._due = max(self._due + self._period, seconds)
        return True


class LagGuard:
    """Says which frames to leave out because their reader has fallen behind the camera.

    A burst after a pause of the network is let through: it is over soon. Where decoding stays
    behind, frames pile up in front of it and would come ever later; leaving out what comes after
    decoding lets it catch up.

    Args:
        limit_s: a lag that is too long, or None for a source that may be late.
        patience_s: how long it may last.
    """

    def __init__(self, limit_s: float | None, patience_s: float = 2.0) -> None:
        self._limit, self._patience = limit_s, patience_s
        self._behind_since: float | None = None
        self._skipping = False

    def admits(self, lag_s: float, now: float) -> bool:
        """Whether a frame with that lag is worth going on with; ``now`` in seconds."""
        if self._limit is None:
            return True
        if lag_s <= self._limit / 2 or (lag_s <= self._limit and not self._skipping):
            self._behind_since, self._skipping = None, False
            return True
        if self._behind_since is None:
            self._behind_since = now
        self._skipping = self._skipping or now - self._behind_since >= self._patience
        return not self._skipping
