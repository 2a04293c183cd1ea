"""The rain gate of a recording that is cleaned in segments: put down in one, taken up in another.

It remembers without end (a shower goes on until it has been dry for a while), so context alone
can't bring it back; its state is a few numbers, which are handed on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from streamderain.frame import Frame
from streamderain.inference.gate import GateConfig, RainGate
from streamderain.inference.gating import DRY, LONGEST_WAIT
from streamderain.inference.gauge import RainGauge, Sums, Weather, score_of

__all__ = ["GateState", "Judge"]


class GateState(BaseModel):
    """What the gate knows between two frames.

    Attributes:
        sums: the gauge's, averaged.
        score: the last one.
        rains: what was decided last, None before the first score.
        below: frames in a row whose score was low.
        waiting: frames before that aren't decided.
        weather: what the gauge saw last: ``dry``, ``wet``, or nothing that is sure.
        settled: for how many frames in a row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sums: tuple[float, ...] | None = None
    score: float | None = None
    rains: bool | None = None
    below: int = 0
    waiting: int = 0
    weather: Weather = ""
    settled: int = 0


class _Gauge(RainGauge):
    @property
    def state(self) -> tuple[Sums | None, Weather, int]:
        return self._sums, self._weather, self._settled

    @state.setter
    def state(self, value: tuple[Sums | None, Weather, int]) -> None:
        self._sums, self._weather, self._settled = value


class _Gate(RainGate):
    @property
    def state(self) -> tuple[bool | None, int]:
        return self._rains, self._below

    @state.setter
    def state(self, value: tuple[bool | None, int]) -> None:
        self._rains, self._below = value


class Judge:
    """Judges frames exactly as :func:`~streamderain.inference.gating.judged`, from any state on.

    Args:
        config: thresholds; None for the defaults.
        state: what is known of all before, or None at the beginning of a recording.
    """

    def __init__(self, config: GateConfig | None = None, state: GateState | None = None) -> None:
        self._config = config
        self._score: float | None = None
        self._gauge, self._gate = _Gauge(), _Gate(config)
        self._waiting: list[Frame] = []
        self._size: tuple[int, int] | None = None
        self._taken_up = state

    def prime(self, frames: Sequence[Frame]) -> None:
        """Look at the frames just before the first that is to be judged, 6 or so."""
        if not frames:
            return
        self._size = frames[-1].size
        for frame in [f for f in frames if f.size == self._size and not f.corrupt][-2:]:
            self._gauge.measure(frame.picture)
        state = self._taken_up
        if state is None:
            return
        sums = None if state.sums is None else np.array(state.sums)
        self._gauge.state = sums, state.weather, state.settled
        self._gate.state = state.rains, state.below
        self._score = state.score
        self._waiting = list(frames[-state.waiting :]) if state.waiting else []

    @property
    def state(self) -> GateState:
        """What is known after all frames so far."""
        (sums, weather, settled), (rains, below) = self._gauge.state, self._gate.state
        return GateState(
            sums=None if sums is None else tuple(map(float, sums)),
            score=self._score, rains=rains, below=below, waiting=len(self._waiting),
            weather=weather, settled=settled,
        )  # fmt: skip

    def step(self, frame: Frame) -> list[Frame]:
        """Take one more frame; return those that are decided by it, in order."""
        done: list[Frame] = []
        if self._size is not None and frame.size != self._size:
            done += self.rest()
            self._begin()
        self._size = frame.size
        self._waiting.append(frame)
        if frame.corrupt:
            return done + (self.rest() if len(self._waiting) > LONGEST_WAIT else [])
        sums = self._gauge.measure(frame.picture)
        if sums is not None:
            self._score = score_of(sums)
            done += map(self._decided, self._waiting[:-1])
            del self._waiting[:-1]
        return done

    def rest(self) -> list[Frame]:
        """Return the frames that wait: none comes after them."""
        done = [self._decided(frame) for frame in self._waiting]
        self._waiting.clear()
        return done

    def _begin(self) -> None:
        self._gauge, self._gate = _Gauge(), _Gate(self._config)
        self._score = None

    def _decided(self, frame: Frame) -> Frame:
        rains = self._gate.step(self._score)
        frame.rain = self._score
        if not rains:
            frame.bypass = DRY
        return frame
