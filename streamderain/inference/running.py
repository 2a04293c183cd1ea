"""Pictures through a network, as it takes them and as memory allows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from streamderain.errors import ModelMemoryError
from streamderain.frame import Picture, Pixels, Planes, pixels_of, size_of
from streamderain.inference.backend import (
    PICTURE,
    VIDEO,
    Backend,
    Frames,
    StartsAhead,
    starts_ahead,
    takes_apart,
    takes_planes,
)
from streamderain.inference.batching import choose_batch
from streamderain.inference.grey import greyed, greyed_planes
from streamderain.inference.memory import Portions, run_in_portions
from streamderain.inference.prior import Prior, no_prior
from streamderain.inference.tiling import lanes_for

__all__ = [
    "batch_for",
    "derain",
    "derain_coded",
    "given_priors",
    "in_rgb",
    "portions_for",
    "run_stacked",
    "stacked",
    "start_coded",
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


def start_coded(
    backend: Backend,
    pictures: Sequence[Picture],
    priors: Sequence[Prior | None] | None,
    portions: Portions,
) -> Callable[[], Sequence[Picture]] | None:
    """Begin what :func:`derain_coded` does, where that can be under way; else return None.

    Args:
        backend, pictures, priors, portions: as :func:`derain_coded` takes them.

    Returns:
        What waits for the pictures; it runs them once more, as memory allows, where that ran out.

    Raises:
        ModelError: the network failed.
    """
    if not starts_ahead(backend) or len({type(picture) for picture in pictures}) > 1:
        return None
    size = size_of(pictures[0])
    portion = portions.choose(len(pictures), *size)
    whole = portion.frames == len(pictures) and portion.plan.count == 1
    if not (whole and backend.can_start(len(pictures), *size)):
        return None
    try:
        begun = [_start(backend, pictures, priors)]
    except ModelMemoryError:
        portions.failed(portion)
        return None

    def result() -> Sequence[Picture]:
        try:
            derained = begun.pop()()
        except ModelMemoryError:
            portions.failed(portion)
        else:
            portions.fitted(portion)
            return derained
        # Outside of the handler: the error holds what failed, and its memory.
        return derain_coded(backend, pictures, priors, portions)

    return result


def _start(
    backend: StartsAhead, pictures: Sequence[Picture], priors: Sequence[Prior | None] | None
) -> Callable[[], Sequence[Picture]]:
    planar: bool = takes_planes(backend)
    apart: bool = takes_apart(backend)
    planes = [picture for picture in pictures if isinstance(picture, Planes)]
    if planar and planes:
        planned = backend.start_planes(planes, given_priors(backend.inputs, planes, priors))

        def in_planes() -> Sequence[Picture]:
            derained = planned()
            greyed_planes(derained, planes)
            return derained

        return in_planes
    pixels, known = in_rgb(pictures, priors)
    if apart:
        started = backend.start_apart(pixels, given_priors(backend.inputs, pixels, known))
    else:
        started = backend.start(stacked(backend.inputs, pixels, known))
    return lambda: list(greyed(started(), pixels))


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
