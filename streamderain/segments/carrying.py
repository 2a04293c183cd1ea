"""What a segment must know of all before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from streamderain.frame import Frame
from streamderain.inference.gate import GateConfig
from streamderain.readers.span import SpanReader
from streamderain.segments.judging import GateState, Judge
from streamderain.segments.memory import Memory, MemoryState
from streamderain.segments.plan import Span

__all__ = ["Carried", "Carrier", "carried_states"]

MEASURED = 6
"""Frames before a segment that the rain gauge is given: it looks at two, and some may be damaged
or undecided."""


class Carried(BaseModel):
    """What is known when a segment begins, a few numbers.

    Attributes:
        gate: of the rain gate; None where all frames are derained.
        memory: of the last frames; None where the network looks at each frame alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    gate: GateState | None = None
    memory: MemoryState | None = None


class Carrier:
    """Judges and remembers the frames of a segment, on from what is known of those before.

    Args:
        judge: whether it rains; None where all frames are derained.
        memory: of the frames; None where the network looks at each alone.
        span: of which frames.
        carried: what is known at the span's start; None at the beginning of a recording.

    Attributes:
        carried: what is known at the span's end, once that has come.

    Raises:
        ValueError: nothing is known of what is before the span.
    """

    def __init__(
        self, judge: Judge | None, memory: Memory | None, span: Span, carried: Carried | None
    ) -> None:
        if span.start is not None and carried is None:
            raise ValueError("a segment that isn't the first needs what the one before has carried")
        self._judge, self._memory, self._span, self._before = judge, memory, span, carried
        self._gate_state: GateState | None = None
        self._memory_state: MemoryState | None = None

    @property
    def carried(self) -> Carried:  # noqa: D102 - see above
        return Carried(gate=self._gate_state, memory=self._memory_state)

    def judged(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Take all frames that were read; give those from the span's start on, judged."""
        frames = self._taken_up(frames)
        if self._judge is None:
            yield from frames
            return
        handed = False
        for frame in frames:
            if not handed and self._is_after(frame):
                handed, self._gate_state = True, self._judge.state
            yield from filter(self._is_wanted, self._judge.step(frame))
        yield from filter(self._is_wanted, self._judge.rest())

    def note(self, frame: Frame) -> None:
        """Note what is remembered, before the memory is given a frame that was judged."""
        if self._memory is not None and self._memory_state is None and self._is_after(frame):
            self._memory_state = self._memory.state

    def _taken_up(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Give the frames from the span's start on, having looked at those before."""
        memory = self._before.memory if self._before else None
        needed = memory.frames() if memory else set()
        last: list[Frame] = []
        kept: list[Frame] = []
        begun = False
        for frame in frames:
            if not begun and not self._is_wanted(frame):
                last = [*last[1 - MEASURED :], frame]
                kept += [frame] if frame.pts in needed else []
                continue
            if not begun:
                begun = True
                if self._judge is not None:
                    self._judge.prime(last)
                if self._memory is not None and memory is not None:
                    self._memory.take_up(memory, kept)
                last.clear()
                kept.clear()
            yield frame

    def _is_wanted(self, frame: Frame) -> bool:
        start = self._span.start
        return start is None or frame.pts is None or frame.pts >= start

    def _is_after(self, frame: Frame) -> bool:
        end = self._span.end
        return end is not None and frame.pts is not None and frame.pts >= end


def carried_states(
    source: Path, spans: Iterable[Span], lookahead: int, *, gated: bool, remembers: bool,
    carried: Carried | None = None,
) -> Iterator[tuple[int, Carried]]:  # fmt: skip
    """Give the number of every segment but the first, and what it must know of all before it.

    For segments that are to be cleaned at the same time: the recording is decoded once, looked at,
    and not cleaned. Segments that follow one another get it from the one before.

    Args:
        source: the recording.
        spans: its segments, from :func:`~streamderain.segments.plan.plan`, in order; from any one
            on, for which ``carried`` is known.
        lookahead: as the segments have it.
        gated: whether it is judged if it rains.
        remembers: whether the network takes a prior.
        carried: what is known at the start of the first span; None at the beginning.
    """
    spans = list(spans)
    first = spans[0].model_copy(update={"end": None, "until": None})
    before = carried.gate if carried else None
    judge = Judge(GateConfig(), before) if gated else None
    memory = Memory(lookahead, priors=False) if remembers else None
    whole = Carrier(judge, memory, first, carried)
    gates: list[GateState | None] = []
    marks = [span.start for span in spans[1:] if span.start is not None]
    with SpanReader(source, seek=first.seek, first=first.prime, until=None, planes=True) as reader:
        frames = iter(reader)

        def noted() -> Iterator[Frame]:
            for frame in frames:
                while len(gates) < len(marks) and (frame.pts or 0) >= marks[len(gates)]:
                    gates.append(judge.state if judge else None)
                yield frame

        given = 0
        for frame in whole.judged(noted()):
            while given < len(marks) and (frame.pts or 0) >= marks[given]:
                state = memory.state if memory else None
                yield spans[given + 1].number, Carried(gate=gates[given], memory=state)
                given += 1
            if given == len(marks):
                return
            if memory is not None:
                memory.step(frame)
