"""What there is to say of cameras and of the network while they run: plain data."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from streamderain.frame import Frame, Picture
from streamderain.live.stats import CameraStats

__all__ = ["MODES", "STAGES", "CameraReport", "Latency", "Mode", "ModelReport", "Moment", "Pair"]

Mode = Literal["auto", "on", "off"]
MODES: tuple[Mode, ...] = ("auto", "on", "off")
"""Derain when it rains (as the gate says), always, never."""

STAGES = ("wait", "network", "write", "total")
"""See :attr:`CameraReport.latency`."""


@dataclass(frozen=True)
class Latency:
    """How long a stage took: a histogram since the camera was started.

    Attributes:
        bounds: upper bounds of all buckets but the last, in seconds, inclusive.
        counts: frames in each bucket, not cumulated; one more than ``bounds``.
        total: seconds of all frames together.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def frames(self) -> int:
        """How many frames were measured."""
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """Return the seconds that so large a share of the frames took at most, or None without any.

        Within a bucket it is taken to grow evenly; above the last bound it is that bound.

        Args:
            share: 0 to 1, such as 0.95.
        """
        return quantile(self.bounds, self.counts, share)


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """Return a quantile of a histogram; see :meth:`Latency.quantile`."""
    wanted = share * sum(counts)
    if not sum(counts):
        return None
    below = 0
    for index, count in enumerate(counts[:-1]):
        if count and below + count >= wanted:
            lower = bounds[index - 1] if index else 0.0
            return lower + (bounds[index] - lower) * max(0.0, wanted - below) / count
        below += count
    return bounds[-1]


def bucket_of(bounds: Sequence[float], seconds: float) -> int:
    """Return the number of the bucket that a time belongs to."""
    return bisect_left(bounds, seconds)


@dataclass(frozen=True)
class Moment:
    """A second of a camera.

    Attributes:
        t: when it ended, seconds since 1970.
        fps: frames that were decoded, a second.
        rain: mean rain score of the frames that left, 0 to 1, or None where none was measured.
        derained: share of the frames that left that the network had cleaned, 0 to 1, or None
            where none left.
        latency_ms: of 95 % of the frames, from arrival to written, or None where none was.
    """

    t: float
    fps: float
    rain: float | None
    derained: float | None
    latency_ms: float | None


@dataclass(frozen=True)
class CameraReport:
    """A camera at one moment.

    Attributes:
        camera: id.
        state: of :class:`~streamderain.live.supervision.CameraState`, such as ``live``; ``paused``
            while it is paused.
        message: why, where something is wrong; without secrets.
        since: when that state began, seconds since 1970; of a camera that is tried again, when
            it was lost.
        mode: ``auto`` derains when it rains, ``on`` always, ``off`` never.
        paused: the source is disconnected.
        source: without secrets.
        size: width and height of the newest frame that left, or None before the first.
        fps: frames a second that were decoded in the last seconds.
        fps_out: frames a second that left in the last seconds, derained or not.
        age_s: seconds since the newest frame that left was taken, or None before the first.
        rain: its rain score, 0 to 1, or None where it wasn't measured.
        raining: whether it goes for rainy: it went to the network, or would have; None where
            nobody knows.
        derained: whether the network cleaned it.
        bypass: why not.
        stats: all counts; conservation holds in them.
        queue: frames that wait for the network, or are in it.
        latency: by stage: ``wait`` from arrival (decoded) to the network, ``network`` in it,
            ``write`` from leaving it, or passing it by, until the first output had it written,
            ``total`` from arrival to written by the first output.
        history: the last 120 seconds, the oldest first.
    """

    camera: str
    state: str
    message: str | None
    since: float
    mode: Mode
    paused: bool
    source: str
    size: tuple[int, int] | None
    fps: float
    fps_out: float
    age_s: float | None
    rain: float | None
    raining: bool | None
    derained: bool | None
    bypass: str | None
    stats: CameraStats
    queue: int
    latency: dict[str, Latency] = field(default_factory=dict)
    history: list[Moment] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """The newest frame of a camera that left, for viewers; nothing of it may be written to.

    Attributes:
        version: grows with every frame, over all changes of the camera too.
        before: as the camera gave it.
        after: as it left; ``before`` itself where it left as it came.
        frame: what else is known of it.
    """

    version: int
    before: Picture
    after: Picture
    frame: Frame


@dataclass(frozen=True)
class ModelReport:
    """The network that runs.

    Attributes:
        name: of a shipped network, or of a file without its ending.
        device: ``cpu`` or ``cuda``.
        runtime: what runs it, with its version.
        sha256: of its file in hexadecimal, None for ``null``.
        batches: how many runs had so many frames, by number of frames, since it was loaded.
        runs: how many runs there were; the sum of ``batches``.
        loaded: when it was loaded, seconds since 1970.
        reloads: how often another one took its place since the start.
    """

    name: str
    device: str
    runtime: str
    sha256: str | None
    batches: dict[int, int]
    runs: int
    loaded: float
    reloads: int
