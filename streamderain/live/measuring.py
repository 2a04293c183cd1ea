"""How long frames take, how many come, how it rains: counted as it happens. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamderain.live.reports import Latency, Moment, bucket_of, quantile

__all__ = ["BOUNDS", "History", "Sample", "Tally"]

BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0,
    5.0,
)  # fmt: skip
"""Seconds: dense where a frame every 40 ms is early or late."""

LENGTH = 120
"""Moments that are kept."""

MOMENT_S = 1.0
SAMPLE_S = 0.5
RATE_S = 3.0
"""Over which the frame rate is taken: shorter, and the packets of a network show in it."""

SLOW = 0.95
"""Share of the frames whose latency a moment tells."""


class Tally:
    """A histogram of seconds that grows."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count a time."""
        self.counts[bucket_of(BOUNDS, seconds)] += 1
        self.total += seconds

    def latency(self) -> Latency:
        """Return it as it is now."""
        return Latency(BOUNDS, tuple(self.counts), self.total)


@dataclass(frozen=True)
class Sample:
    """What a camera has done up to one moment.

    Attributes:
        decoded: frames that it gave.
        left: frames that left, derained or not.
        derained: those of them that the network cleaned.
        rain: sum of their rain scores.
        scored: frames in that sum.
        latencies: frames by bucket of :data:`BOUNDS`, from arrival to written.
    """

    decoded: int = 0
    left: int = 0
    derained: int = 0
    rain: float = 0.0
    scored: int = 0
    latencies: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)


class History:
    """A camera's last seconds, from samples.

    Args:
        now: monotonic seconds.

    Example::

        history = History(now=0.0)
        if history.is_due(now):
            history.step(now, time.time(), sample)
        history.fps, history.moments
    """

    def __init__(self, now: float) -> None:
        self._samples: deque[tuple[float, Sample]] = deque([(now, Sample())])
        self._moments: deque[Moment] = deque(maxlen=LENGTH)
        self._before, self._began = Sample(), now

    @property
    def fps(self) -> float:
        """Frames a second that were decoded in the last seconds."""
        return self._rate(lambda sample: sample.decoded)

    @property
    def fps_out(self) -> float:
        """Frames a second that left in the last seconds, derained or not."""
        return self._rate(lambda sample: sample.left)

    @property
    def moments(self) -> list[Moment]:
        """The last seconds, the oldest first."""
        return list(self._moments)

    def is_due(self, now: float) -> bool:
        """Whether a sample is wanted."""
        return now - self._samples[-1][0] >= SAMPLE_S

    def step(self, now: float, wall: float, sample: Sample) -> None:
        """Take a sample.

        Args:
            now: monotonic seconds.
            wall: seconds since 1970.
            sample: never less than the one before.
        """
        self._samples.append((now, sample))
        while now - self._samples[1][0] >= RATE_S:
            self._samples.popleft()
        if now - self._began >= MOMENT_S:
            self._moments.append(_moment(self._before, sample, now - self._began, wall))
            self._before, self._began = sample, now

    def _rate(self, count: Callable[[Sample], int]) -> float:
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (count(after) - count(before)) / (last - first) if last > first else 0.0


def _moment(before: Sample, after: Sample, seconds: float, wall: float) -> Moment:
    left, scored = after.left - before.left, after.scored - before.scored
    slow = quantile(BOUNDS, _less(after.latencies, before.latencies), SLOW)
    return Moment(
        t=wall,
        fps=(after.decoded - before.decoded) / seconds,
        rain=min(1.0, max(0.0, (after.rain - before.rain) / scored)) if scored else None,
        derained=(after.derained - before.derained) / left if left else None,
        latency_ms=None if slow is None else 1000 * slow,
    )


def _less(after: Sequence[int], before: Sequence[int]) -> list[int]:
    return [a - b for a, b in zip(after, before, strict=True)]
