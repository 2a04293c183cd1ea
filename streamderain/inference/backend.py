"""What runs a network: uint8 frames in, uint8 frames out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from streamderain.closing import Closable, ClosesAtExit
from streamderain.frame import Pixels, Planes
from streamderain.inference.prior import Prior
from streamderain.models import NULL, ModelInfo

__all__ = [
    "PICTURE",
    "VIDEO",
    "Backend",
    "Frames",
    "NullBackend",
    "StartsAhead",
    "TakesApart",
    "TakesPlanes",
    "planes_sha256_of",
    "starts_ahead",
    "takes_apart",
    "takes_planes",
    "wants_rgb",
]

Frames = NDArray[np.uint8]
"""uint8 N×H×W×3, RGB, C-contiguous."""

PICTURE, VIDEO = 3, 7
"""Channels that networks take: a frame's RGB; for video, also the prior's and its reliability."""


class Backend(Closable, Protocol):
    """Runs one network on one device.

    Attributes:
        name: of the network.
        model: where it is, its terms and figures.
        device: what it really runs on, ``cpu`` or ``cuda``.
        runtime: what runs it, with its version.
        inputs: channels that it takes, :data:`PICTURE` or :data:`VIDEO`.
        lanes: frames of a run that it computes side by side; with fewer, cores stand idle.
        notes: what the user should hear of once, one sentence each, such as that CUDA was
            installed but could not be started.
    """

    @property
    def name(self) -> str:  # noqa: D102 - see above
        ...

    @property
    def model(self) -> ModelInfo:  # noqa: D102
        ...

    @property
    def device(self) -> str:  # noqa: D102
        ...

    @property
    def runtime(self) -> str:  # noqa: D102
        ...

    @property
    def inputs(self) -> int:  # noqa: D102
        ...

    @property
    def lanes(self) -> int:  # noqa: D102
        ...

    @property
    def notes(self) -> Sequence[str]:  # noqa: D102
        ...

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3.

        Args:
            frames: uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out; fewer pixels at once may fit.
            ModelError: the network can't take them.
        """
        ...

    def close(self) -> None:
        """Let go of the network; harmless twice."""
        ...


class TakesApart(Backend, Protocol):
    """A backend that can take a frame and what its past says without their being stacked."""

    def run_apart(self, pictures: Sequence[Pixels], priors: Sequence[Prior] | None) -> Frames:
        """Return the derained frames, uint8 N×H×W×3.

        Args:
            pictures: uint8 H×W×3 RGB each, of one size; at least one.
            priors: of each, for a video network; None for one that takes pictures.

        Raises:
            ModelMemoryError: memory ran out; fewer pixels at once may fit.
            ModelError: the network can't take them.
        """
        ...


def takes_apart(backend: Backend) -> TypeGuard[TakesApart]:
    """Say whether a backend is faster where frames and priors are not stacked."""
    return bool(getattr(backend, "takes_apart", False))


class TakesPlanes(Backend, Protocol):
    """A backend that can take pictures as codecs hold them: nobody has to convert them."""

    def run_planes(
        self, pictures: Sequence[Planes], priors: Sequence[Prior] | None
    ) -> list[Planes]:
        """Return the derained pictures, in the colour of those that went in.

        Args:
            pictures: of one size; at least one.
            priors: of each, planes as well, for a video network; None for one that takes pictures.

        Raises:
            ModelMemoryError: memory ran out; fewer pixels at once may fit.
            ModelError: the network can't take them.
        """
        ...


def takes_planes(backend: Backend) -> TypeGuard[TakesPlanes]:
    """Say whether a backend is faster where pictures are not converted to RGB."""
    return bool(getattr(backend, "takes_planes", False))


class StartsAhead(Backend, Protocol):
    """A backend that can begin a batch while the one before is under way.

    What ``start`` and its like return waits for what the ``run`` of its name returns, and raises
    what that raises. All of them are for one thread, which need not wait for what it no longer
    wants.
    """

    def can_start(self, count: int, height: int, width: int) -> bool:
        """Say whether so many frames of a size would be under way when they were started.

        Others may be run to their end by then.
        """
        ...

    def start(self, frames: Frames) -> Callable[[], Frames]:
        """Begin what :meth:`~Backend.run` does."""
        ...

    def start_apart(
        self, pictures: Sequence[Pixels], priors: Sequence[Prior] | None
    ) -> Callable[[], Frames]:
        """Begin what :meth:`~TakesApart.run_apart` does, where it is there."""
        ...

    def start_planes(
        self, pictures: Sequence[Planes], priors: Sequence[Prior] | None
    ) -> Callable[[], list[Planes]]:
        """Begin what :meth:`~TakesPlanes.run_planes` does, where it is there."""
        ...


def starts_ahead(backend: Backend) -> TypeGuard[StartsAhead]:
    """Say whether a backend can begin some batches before the one ahead of them is done."""
    return hasattr(backend, "can_start")


def planes_sha256_of(backend: Backend) -> str | None:
    """Return the SHA-256 of the file that runs where pictures are given as codecs hold them."""
    card = backend.model.card
    return card.int8.planes_sha256 if takes_planes(backend) and card and card.int8 else None


class NullBackend(ClosesAtExit):
    """Gives back what it is given: for tests, and to see what the rest of the pipeline costs."""

    name = NULL
    device = "cpu"
    runtime = "none"
    inputs = PICTURE
    lanes = 1
    notes = ()

    def __init__(self) -> None:
        self.model = ModelInfo(name=NULL, path=None)

    def run(self, frames: Frames) -> Frames:
        """Return a copy."""
        return frames.copy()

    def close(self) -> None:
        """Do nothing."""


def wants_rgb(backend: Backend) -> bool:
    """Say whether pictures as codecs hold them have to be converted for a network; not for none."""
    return backend.name != NULL and not takes_planes(backend)
