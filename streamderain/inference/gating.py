"""Frames judged before they go to the network: dry ones are marked to pass as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from streamderain.frame import Frame
from streamderain.inference.gate import GateConfig, RainGate
from streamderain.inference.gauge import RainGauge, score_of

__all__ = ["DRY", "RainWatch", "judged"]

DRY = "dry"
"""``Frame.bypass`` of a frame on which it doesn't rain."""


LONGEST_WAIT = 4
"""Frames that wait for a judgement; it takes three, and more only where frames are damaged."""


class RainWatch:
    """Judges the frames of one connection of a live camera, one at a time.

    A frame is judged by what was seen up to it, so rain is noticed one frame late.

    Args:
        config: thresholds; None judges nothing and lets all frames go to the network.
    """

    def __init__(self, config: GateConfig | None) -> None:
        self._gauge, self._gate = RainGauge(), RainGate(config) if config else None

    def judge(self, frame: Frame) -> None:
        """Set ``rain``, and ``bypass`` where it doesn't rain; damaged frames stay as they are."""
        if self._gate is None or frame.bypass is not None:
            return
        sums = self._gauge.measure(frame.picture)
        frame.rain = None if sums is None else score_of(sums)
        if not self._gate.step(frame.rain):
            frame.bypass = DRY


def judged(frames: Iterable[Frame], config: GateConfig | None = None) -> Iterator[Frame]:
    """Give every frame in order, with ``rain`` set, and ``bypass="dry"`` where it doesn't rain.

    A frame is judged by the one before and the one after it, so frames come one later than they go
    in; the first waits for two. A clip of one or two frames can't be judged and is taken for rainy.
    Damaged frames are not measured.

    Args:
        frames: of one source; another size begins a new scene.
        config: thresholds; None for the defaults.
    """
    gauge, gate = RainGauge(), RainGate(config)
    waiting: list[Frame] = []
    size: tuple[int, int] | None = None
    score: float | None = None

    def decided(frame: Frame) -> Frame:
        rains = gate.step(score)
        frame.rain = score
        if not rains:
            frame.bypass = DRY
        return frame

    for frame in frames:
        if size is not None and frame.size != size:
            yield from map(decided, waiting)
            waiting.clear()
            gauge, gate, score = RainGauge(), RainGate(config), None
        size = frame.size
        waiting.append(frame)
        if frame.corrupt:
            if len(waiting) > LONGEST_WAIT:  # a gap in the stream may be long
                yield from map(decided, waiting)
                waiting.clear()
            continue
        sums = gauge.measure(frame.picture)
        if sums is not None:
            score = score_of(sums)
            yield from map(decided, waiting[:-1])
            del waiting[:-1]
    yield from map(decided, waiting)
