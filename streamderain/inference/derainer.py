"""The inference stage: frames in, the same frames out, derained or passed through with a reason."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from streamderain.errors import ModelMemoryError
from streamderain.frame import Frame, Picture, Pixels, Planes, Step, pixels_of
from streamderain.inference.backend import (
    PICTURE,
    VIDEO,
    Backend,
    Frames,
    takes_apart,
    takes_planes,
    wants_rgb,
)
from streamderain.inference.batching import FrameBatcher, choose_batch
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import judged
from streamderain.inference.grey import greyed, greyed_planes
from streamderain.inference.memory import Portions, run_in_portions
from streamderain.inference.prior import Prior, no_prior
from streamderain.inference.remembering import check_lookahead, remembered
from streamderain.inference.tiling import lanes_for
from streamderain.models import NULL

__all__ = [
    "Derainer",
    "batch_for",
    "derain",
    "derain_coded",
    "given_priors",
    "in_rgb",
    "portions_for",
    "run_stacked",
    "stacked",
]


def derain(
    backend: Backend,
    pictures: Sequence[Pixels],
    priors: Sequence[Prior | None] | None = None,
    portions: Portions | None = None,
) -> Frames:
    """Run pictures of one size through the network, as memory allows: all at once, fewer, in tiles.

    Args:
        backend: what runs the network.
        pictures: uint8 H×W×3 RGB, at least one.
        priors: what the past says of each, for a video network; None where it says nothing.
        portions: what was learnt of the memory; who derains more than once keeps it
            (:func:`portions_for`).

    Returns:
        uint8 N×H×W×3; grey where a picture is grey (``streamderain/inference/grey.py``).

    Raises:
        ModelMemoryError: not even a small tile fits into memory.
        ModelError: the network failed.
    """
    portions = portions or portions_for(backend)
    if takes_apart(backend):
        portion = portions.choose(len(pictures), *pictures[0].shape[:2])
        if portion.frames == len(pictures) and portion.plan.count == 1:
            with contextlib.suppress(ModelMemoryError):  # then it is tried in portions
                priors = given_priors(backend.inputs, pictures, priors)
                return greyed(backend.run_apart(pictures, priors), pictures)
    return greyed(
        run_stacked(backend, stacked(backend.inputs, pictures, priors), portions), pictures
    )


def derain_coded(
    backend: Backend,
    pictures: Sequence[Picture],
    priors: Sequence[Prior | None] | None = None,
    portions: Portions | None = None,
) -> Sequence[Picture]:
    """Run pictures through the network as codecs hold them, where it takes them so; else as RGB.

    Args:
        backend, portions: as :func:`derain` takes them.
        pictures: of one size, at least one.
        priors: what the past says of each, of its kind; None where it says nothing.

    Returns:
        Pictures, planes where planes went in and the network takes them.

    Raises:
        ModelMemoryError: not even a small tile fits into memory.
        ModelError: the network failed.
    """
    portions = portions or portions_for(backend)
    planes = [picture for picture in pictures if isinstance(picture, Planes)]
    if takes_planes(backend) and 0 < len(planes) < len(pictures):
        return _of_two_kinds(backend, pictures, priors, portions)
    if takes_planes(backend) and planes:
        portion = portions.choose(len(planes), *planes[0].size)
        if portion.frames == len(planes) and portion.plan.count == 1:
            try:
                derained = backend.run_planes(planes, given_priors(backend.inputs, planes, priors))
            except ModelMemoryError:  # then it is tried in portions, and they are not again
                portions.failed(portion)
            else:
                portions.fitted(portion)
                greyed_planes(derained, planes)
                return derained
    return list(derain(backend, *in_rgb(pictures, priors), portions))


def _of_two_kinds(
    backend: Backend,
    pictures: Sequence[Picture],
    priors: Sequence[Prior | None] | None,
    portions: Portions,
) -> Sequence[Picture]:
    """Run planes together, and RGB together."""
    result: list[Picture] = list(pictures)
    for kind in (True, False):
        places = [at for at, p in enumerate(pictures) if isinstance(p, Planes) is kind]
        theirs = priors and [priors[at] for at in places]
        found = derain_coded(backend, [pictures[at] for at in places], theirs, portions)
        for at, picture in zip(places, found, strict=True):
            result[at] = picture
    return result


def in_rgb(
    pictures: Sequence[Picture], priors: Sequence[Prior | None] | None
) -> tuple[list[Pixels], Sequence[Prior | None] | None]:
    """Return pictures and what the past says of them as RGB."""
    return [pixels_of(p) for p in pictures], priors and [p and p.in_rgb() for p in priors]


def batch_for(backend: Backend, height: int, width: int, rounds: int = 1) -> int:
    """Return how many frames of a size are best run at once, 1 to 16.

    Args:
        backend: what runs them.
        height, width: of the frames.
        rounds: how often what the backend runs side by side, where it does.
    """
    lanes = lanes_for(backend.lanes, height, width, backend.model.bytes_per_pixel)
    return choose_batch(backend.device, height, width, rounds * lanes if lanes > 1 else 1)


def portions_for(backend: Backend) -> Portions:
    """Return what is known of a network's memory before anything failed."""
    return Portions(backend.model.bytes_per_pixel)


def given_priors(
    inputs: int, pictures: Sequence[Picture], priors: Sequence[Prior | None] | None
) -> list[Prior] | None:
    """Return a prior for each picture, of those that have none as well; None for pictures."""
    if inputs == PICTURE:
        return None
    given = priors or [None] * len(pictures)
    return [prior or no_prior(picture) for picture, prior in zip(pictures, given, strict=True)]


def stacked(
    inputs: int, pictures: Sequence[Pixels], priors: Sequence[Prior | None] | None = None
) -> Frames:
    """Return what a network takes for pictures of one size: uint8 N×H×W×inputs.

    Args:
        inputs: channels that the network takes.
        pictures, priors: as :func:`derain` takes them.
    """
    if inputs == PICTURE:
        return pictures[0][None] if len(pictures) == 1 else np.stack(pictures)
    height, width = pictures[0].shape[:2]
    result = np.empty((len(pictures), height, width, VIDEO), np.uint8)
    given = given_priors(inputs, pictures, priors)
    assert given is not None
    for into, picture, prior in zip(result, pictures, given, strict=True):
        # A fifth of the time that NumPy takes to write every third byte or so.
        cv2.merge([picture, prior.pixels, prior.reliability], dst=into)
    return result


def run_stacked(backend: Backend, frames: Frames, portions: Portions | None = None) -> Frames:
    """Run what :func:`stacked` gave, uint8 N×H×W×C, as memory allows; uint8 N×H×W×3.

    Raises:
        ModelMemoryError: not even a small tile fits into memory.
        ModelError: the network failed.
    """
    return run_in_portions(backend.run, frames, portions or portions_for(backend))


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
        """Give every frame that was looked at, derained or passed through."""
        batcher: FrameBatcher | None = None
        size: tuple[int, int] | None = None
        for frame in frames:
            if batcher is None or frame.size != size:
                if batcher is not None:
                    yield from self._run(batcher.flush())
                size = frame.size
                batcher = FrameBatcher(self.batch_for(*size))
            for group in batcher.add(frame):
                yield from self._run(group)
        if batcher is not None:
            yield from self._run(batcher.flush())

    def _run(self, group: Sequence[Frame]) -> Sequence[Frame]:
        chosen = [frame for frame in group if self._wants(frame)]
        priors = {id(frame): self._priors.pop(id(frame), None) for frame in group}
        if chosen:
            derained = derain_coded(
                self._backend, [f.pixels if self._converts else f.picture for f in chosen],
                [priors[id(f)] for f in chosen], self._portions,
            )  # fmt: skip
            for frame, picture in zip(chosen, derained, strict=True):
                if self._keep_original:
                    frame.original = frame.pixels
                frame.picture = picture
                frame.derained = True
                frame.model = self._backend.name
        if self._keep_original:
            for frame in group:
                if not frame.derained:
                    frame.original = frame.pixels
        return group

    def _wants(self, frame: Frame) -> bool:
        if self._backend.name == NULL:
            frame.bypass = NULL
        elif frame.corrupt:
            frame.bypass = "corrupt"
        return frame.bypass is None
