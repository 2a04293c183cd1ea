"""The inference stage: frames in, the same frames out, derained or passed through with a reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from streamderain.errors import ModelError, StreamderainError
from streamderain.frame import Frame, Picture, Step
from streamderain.inference.backend import PICTURE, Backend, wants_rgb
from streamderain.inference.batching import FrameBatcher
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import judged
from streamderain.inference.prior import Prior
from streamderain.inference.remembering import check_lookahead, remembered
from streamderain.inference.running import batch_for, derain_coded, portions_for, start_coded
from streamderain.models import NULL

__all__ = ["Derainer"]


@dataclass(frozen=True)
class _Begun:
    """Frames of one size that are under way, or will be run when they are waited for.

    Attributes:
        group: all of them.
        chosen: those that go through the network.
        finish: waits for what it makes of these.
        ahead: they are under way, and others may begin before they are waited for.
    """

    group: Sequence[Frame]
    chosen: Sequence[Frame]
    finish: Callable[[], Sequence[Picture]]
    ahead: bool


def _fail(error: Exception) -> Sequence[Picture]:
    raise error


class Derainer:
    """Cleans frames in batches of consecutive ones; a frame is never lost or reordered.

    For a video network it remembers the last frames, dry ones too.

    Args:
        backend: what runs the network.
        batch: frames a run, or None to choose by device and frame size.
        keep_original: keep what came in as ``Frame.original``, for comparisons.
        gate: when it rains; dry frames pass as they came (``bypass="dry"``). None derains all.
        lookahead: frames after each that a video network's prior is made of as well, 0 to 4.
        remember: frames follow one another; False where they are pictures, which have no past.

    Raises:
        ValueError: no such lookahead.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        batch: int | None = None,
        keep_original: bool = False,
        gate: GateConfig | None = None,
        lookahead: int = 0,
        remember: bool = True,
    ) -> None:
        check_lookahead(lookahead)
        self._backend = backend
        self._batch = batch
        self._keep_original = keep_original
        self._gate = gate
        self._lookahead = lookahead
        self._remembers = remember and backend.inputs != PICTURE
        self._converts = wants_rgb(backend)
        self._priors: dict[int, Prior] = {}
        self._portions = portions_for(backend)

    def batch_for(self, height: int, width: int) -> int:
        """Return how many frames of that size go through the network at once."""
        if self._batch is not None:
            return self._batch
        # Two rounds: a frame that takes longer holds up fewer others.
        return batch_for(self._backend, height, width, rounds=2)

    @property
    def steps(self) -> Sequence[tuple[str, Step]]:
        """What can be done at the same time: looking at frames, and cleaning those before."""
        return ("look", self.look), ("infer", self.clean)

    def process(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Give every frame that comes in, in order: all steps in this thread.

        Corrupt frames pass as they came (``bypass="corrupt"``): a network would make its own
        sense of the damage. With the ``null`` model all do (``bypass="null"``).
        """
        return self.clean(self.look(frames))

    def look(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Give every frame, having looked whether it rains and what its past says of the scene."""
        if self._gate is not None:
            frames = judged(frames, self._gate)
        looked: Iterable[tuple[Frame, Prior | None]] = ((frame, None) for frame in frames)
        if self._remembers:
            looked = remembered(frames, self._lookahead)
        for frame, prior in looked:
            if self._converts and frame.bypass is None and not frame.corrupt:
                prior = prior and prior.in_rgb()
                _ = frame.pixels  # made here, beside the network that wants them
            if prior is not None:
                self._priors[id(frame)] = prior
            yield frame

    def clean(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Give every frame that was looked at, derained or passed through.

        Where the backend can begin the next batch before one is done, it does so.
        """
        under_way: deque[_Begun] = deque()
        try:
            for group in self._groups(frames):
                begun = self._begin(group)
                under_way.append(begun)
                while len(under_way) > begun.ahead:
                    yield from self._end(under_way.popleft())
        except StreamderainError:
            while under_way:  # what came before it was well
                yield from self._end(under_way.popleft())
            raise
        while under_way:
            yield from self._end(under_way.popleft())

    def _groups(self, frames: Iterable[Frame]) -> Iterator[list[Frame]]:
        batcher: FrameBatcher | None = None
        size: tuple[int, int] | None = None
        for frame in frames:
            if batcher is None or frame.size != size:
                if batcher is not None:
                    yield batcher.flush()
                size = frame.size
                batcher = FrameBatcher(self.batch_for(*size))
            yield from batcher.add(frame)
        if batcher is not None:
            yield batcher.flush()

    def _begin(self, group: Sequence[Frame]) -> _Begun:
        """Begin with frames of one size, where that can be done before those ahead are done."""
        chosen = [frame for frame in group if self._wants(frame)]
        priors = {id(frame): self._priors.pop(id(frame), None) for frame in group}
        if not chosen:
            return _Begun(group, chosen, tuple, ahead=False)
        pictures = [f.pixels if self._converts else f.picture for f in chosen]
        known = [priors[id(f)] for f in chosen]
        try:
            finish = start_coded(self._backend, pictures, known, self._portions)
        except ModelError as error:  # of these frames, not of those ahead
            return _Begun(group, chosen, partial(_fail, error), ahead=False)
        if finish is not None:
            return _Begun(group, chosen, finish, ahead=True)
        finish = partial(derain_coded, self._backend, pictures, known, self._portions)
        return _Begun(group, chosen, finish, ahead=False)

    def _end(self, begun: _Begun) -> Sequence[Frame]:
        """Wait for frames that were begun."""
        if self._keep_original:
            for frame in begun.group:
                frame.original = frame.pixels
        for frame, picture in zip(begun.chosen, begun.finish(), strict=True):
            frame.picture = picture
            frame.derained = True
            frame.model = self._backend.name
        return begun.group

    def _wants(self, frame: Frame) -> bool:
        if self._backend.name == NULL:
            frame.bypass = NULL
        elif frame.corrupt:
            frame.bypass = "corrupt"
        return frame.bypass is None
