"""What to run when memory runs out: fewer frames, then tiles, then a sentence. Pure but for `run`.

What the runtimes say was provoked, on a CPU, by limits on the process. ONNX Runtime raises its own
``Fail`` ("Failed to allocate memory for requested buffer of size …"), PyTorch a ``RuntimeError``
("can't allocate memory"; or its kernels crash), and OpenVINO one as well ("Failed to allocate …
bytes of memory"), or nothing: then its result is empty. What CUDA says is taken from the runtimes'
sources and from their users' reports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamderain.errors import ModelMemoryError
from streamderain.inference.backend import PICTURE, Frames
from streamderain.inference.tiling import BUDGET_BYTES, TilePlan, choose_tile, run_tiled

__all__ = ["Portion", "Portions", "is_out_of_memory", "run_in_portions"]

log = logging.getLogger("streamderain")

TYPES = ("MemoryError", "OutOfMemoryError")
"""Python's own, and PyTorch's for GPUs, by name: nothing has to be imported to know them."""

SENTENCES = (
    "failed to allocate",  # ONNX Runtime's arenas on CPUs and GPUs, OpenVINO
    "out of memory",  # CUDA error 2, in the words of every library above it
    "cudaerrormemoryallocation",
    "cuda_error_out_of_memory",
    "_status_alloc_failed",  # cuBLAS and cuDNN
    "allocate memory",  # the system's error 12
    "can't alloc",  # PyTorch's CPU allocator, OpenVINO's code generator
    "not enough memory",  # the same on Windows
    "broken promise",  # OpenVINO, one of whose threads got none
    "bad_alloc",
    "bad allocation",
    "outofmemory",  # TensorRT
)
"""What errors about memory say, in lower case."""

SMALLEST = 96 * 96
"""Pixels of a run below which nothing is tried any more: the whole machine has no memory then."""

PATIENCE = 500
"""Runs in what fits before the larger size is tried once more. It doubles with each failure."""


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error of any runtime, or what it came from, is about memory.

    What was raised while another error was handled came from that, unless it denies it.
    """
    cause: BaseException | None = error
    while cause is not None:
        said = str(cause).lower()
        if isinstance(cause, ModelMemoryError) or any(text in said for text in SENTENCES):
            return True
        if any(kind.__name__ in TYPES for kind in type(cause).__mro__):
            return True
        hidden = cause.__cause__ is not None or cause.__suppress_context__
        cause = cause.__cause__ if hidden else cause.__context__
    return False


@dataclass(frozen=True, slots=True)
class Portion:
    """What is run at once.

    Attributes:
        frames: how many of those that are left.
        plan: the tiles that each is cut into; with more than one, they run one at a time.
    """

    frames: int
    plan: TilePlan

    @property
    def pixels(self) -> int:
        """How many pixels a run of the network has."""
        return (self.frames if self.plan.count == 1 else 1) * self.plan.height * self.plan.width


class Portions:
    """How much goes through a network at once, learnt from what failed.

    Memory goes by the pixels of a run, so one number serves every size of frames. What failed is
    halved until something fits, and remembered; after many runs that did fit, the larger size is
    tried again, since the memory may only have been lent to another program.

    Args:
        bytes_per_pixel: activations of the network for each pixel of a run.
        budget: bytes that the activations of one frame or tile may take.

    Example::

        portions = Portions(bytes_per_pixel=270)
        portion = portions.choose(4, 1080, 1920)  # all four frames, whole
        portions.failed(portion)  # True: there is something smaller
        portions.choose(4, 1080, 1920)  # two frames
    """

    def __init__(self, bytes_per_pixel: int, budget: int = BUDGET_BYTES) -> None:
        self._bytes_per_pixel, self._budget = bytes_per_pixel, budget
        self._limit: int | None = None
        self._fitting, self._patience = 0, PATIENCE

    @property
    def limit(self) -> int | None:
        """The most pixels that a run may have, None before anything failed."""
        return self._limit

    def choose(self, count: int, height: int, width: int) -> Portion:
        """Return what to run of ``count`` frames of a size; as much as may fit.

        Raises:
            ValueError: there are no frames.
        """
        if count < 1:
            raise ValueError("a portion has at least one frame")
        plan = choose_tile(height, width, self._bytes_per_pixel, self._budget)
        if self._limit is None:
            return Portion(count, plan)
        if plan.height * plan.width > self._limit:
            plan = choose_tile(height, width, 1, self._limit)
        whole = max(1, self._limit // (height * width))
        return Portion(min(count, whole) if plan.count == 1 else count, plan)

    def failed(self, portion: Portion) -> bool:
        """Learn that memory ran out; say whether something smaller is left to try."""
        if self._limit is not None:
            self._patience *= 2
            if portion.pixels > self._limit:  # the frame can't be cut any smaller
                return False
        self._fitting = 0
        smaller = portion.pixels // 2
        if smaller < SMALLEST:
            return False
        self._limit = min(smaller, self._limit or smaller)
        return True

    def fitted(self, portion: Portion) -> None:
        """Learn that a run fitted; from time to time that makes the limit larger again."""
        if self._limit is None or 2 * portion.pixels <= self._limit:
            return
        self._fitting += 1
        if self._fitting >= self._patience:
            self._fitting = 0
            self._limit *= 2


def run_in_portions(run: Callable[[Frames], Frames], frames: Frames, portions: Portions) -> Frames:
    """Run frames as they are, or in portions where memory ran out; all of them or none.

    Args:
        run: uint8 n×h×w×C in, n×h×w×3 out; raises :class:`ModelMemoryError` where that is too much.
        frames: uint8 N×H×W×C, at least one.
        portions: what was learnt so far; it learns on.

    Returns:
        uint8 N×H×W×3.

    Raises:
        ModelMemoryError: not even the smallest portion fits.
        ModelError: the network failed for another reason.
    """
    height, width = frames.shape[1:3]
    result: Frames | None = None
    start = 0
    while start < len(frames):
        portion = portions.choose(len(frames) - start, height, width)
        if result is None and portion.frames < len(frames):
            result = np.empty((*frames.shape[:3], PICTURE), np.uint8)  # while there is memory
        try:
            found = run_tiled(run, frames[start : start + portion.frames], portion.plan)
        except ModelMemoryError as error:
            if not portions.failed(portion):
                raise ModelMemoryError(
                    f"{error}. Not even a run of {portion.plan.width}x{portion.plan.height} pixels "
                    "fits; end what else needs the memory, or take a smaller network"
                ) from error
            log.warning("%s; smaller runs are tried from now on", error)
            continue  # outside of the handler: the error holds the frames of its run
        portions.fitted(portion)
        if result is None:
            return found
        result[start : start + portion.frames] = found
        start += portion.frames
    assert result is not None
    return result
