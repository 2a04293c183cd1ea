"""What the machine can multiply, through the runtime that runs the network; and the roof it is.

A chain of 3×3 convolutions with as many channels as keep every core busy, on a picture so small
that weights and activations stay in the caches: no network of convolutions gets more out of this
runtime. What a network falls short of it goes to memory, to layers that aren't convolutions, and to
convolutions too thin to fill the registers.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streamderain.bench.graph import chain_graph, chain_macs
from streamderain.bench.measuring import measure
from streamderain.bench.results import Arithmetic, ConvolutionRate, Precise
from streamderain.inference.backend import Backend
from streamderain.inference.cuda import CudaBackend
from streamderain.inference.graphs import is_int8
from streamderain.inference.onnx import OnnxBackend
from streamderain.inference.openvino import OpenVinoBackend
from streamderain.inference.pytorch import PyTorchBackend
from streamderain.models import ModelInfo

if TYPE_CHECKING:
    import torch

__all__ = ["arithmetic_of", "convolution_rates", "precision_of"]

CHANNELS, LAYERS = 128, 8
SIDE = {"cpu": 64, "cuda": 512}
"""Of the picture, in pixels: 2 MB of activations for a CPU's caches; a GPU wants to be filled."""

NAMES: dict[str, Precise] = {
    "f32": "float32", "bf16": "bfloat16", "float32": "float32", "float16": "float16",
}  # fmt: skip
"""What the backends call their precisions."""


def precision_of(backend: Backend) -> Precise | None:
    """Return what a backend computes its convolutions in; None where it doesn't say."""
    if is_int8(backend.model):
        return "int8"
    if type(backend) is OnnxBackend:
        return "float32"
    return NAMES.get(getattr(backend, "precision", ""))


def arithmetic_of(
    backend: Backend, rates: list[ConvolutionRate], pixels_per_second: float
) -> Arithmetic:
    """Return what the network needs against what convolutions reach. Pure.

    Args:
        backend: what ran it.
        rates: from :func:`convolution_rates`.
        pixels_per_second: that the network alone reached.
    """
    precision, card = precision_of(backend), backend.model.card
    if card is None:
        return Arithmetic(convolutions=rates, precision=precision)
    reached = card.macs_per_pixel * pixels_per_second
    roof = next((rate.macs_per_second for rate in rates if rate.precision == precision), None)
    return Arithmetic(
        convolutions=rates, precision=precision, macs_per_pixel=card.macs_per_pixel,
        macs_per_second=reached, fraction=None if roof is None else reached / roof,
    )  # fmt: skip


def convolution_rates(backend: Backend, seconds: float) -> list[ConvolutionRate]:
    """Measure convolutions through the runtime of a backend, in each precision that it has.

    Args:
        backend: what runs the network; none but ours are known.
        seconds: for each precision.

    Raises:
        ModelError: the runtime can't run them.
    """
    if isinstance(backend, PyTorchBackend):
        return [_torch_rate(backend, seconds)]
    openers: dict[Precise, Callable[[ModelInfo], Backend]] = {}
    if isinstance(backend, OpenVinoBackend):
        openers["float32"] = lambda info: OpenVinoBackend(info, precision="f32")
        if backend.precision == "bf16":
            openers["bfloat16"] = lambda info: OpenVinoBackend(info, precision="bf16")
        openers["int8"] = lambda info: OpenVinoBackend(info, precision="f32")
    elif isinstance(backend, CudaBackend):
        half = backend.precision == "float16"
        openers["float16" if half else "float32"] = lambda info: CudaBackend(info, half=half)
    elif isinstance(backend, OnnxBackend):
        openers = {"float32": OnnxBackend, "int8": OnnxBackend}
    with tempfile.TemporaryDirectory() as scratch:
        return [
            _graph_rate(precision, opener, Path(scratch), seconds)
            for precision, opener in openers.items()
        ]


def _graph_rate(
    precision: Precise, opener: Callable[[ModelInfo], Backend], folder: Path, seconds: float
) -> ConvolutionRate:
    path = folder / f"{precision}.onnx"
    path.write_bytes(chain_graph(CHANNELS, LAYERS, int8=precision == "int8"))
    with opener(ModelInfo(name="convolutions", path=path)) as backend:
        side, count = SIDE[backend.device], backend.lanes
        frames = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)

        def run() -> int:
            backend.run(frames)
            return count

        sample = measure(run, seconds, warm=3)
    return _rate(precision, chain_macs(CHANNELS, LAYERS) * side**2 * count, sample.calls_s)


def _torch_rate(backend: PyTorchBackend, seconds: float) -> ConvolutionRate:
    import torch
    from torch.nn import functional as F

    precision = NAMES[backend.precision]
    side, kind = SIDE[backend.device], torch.float16 if precision == "float16" else torch.float32
    layout = torch.channels_last if backend.device == "cuda" else torch.contiguous_format
    weight, given = (
        torch.randn(*shape).div(CHANNELS).to(backend.device, kind, memory_format=layout)
        for shape in ((CHANNELS, CHANNELS, 3, 3), (1, CHANNELS, side, side))
    )

    def run() -> int:
        with torch.inference_mode():
            x: torch.Tensor = given
            for _ in range(LAYERS):
                x = F.relu(F.conv2d(x, weight, padding=1))
            if backend.device == "cuda":
                torch.cuda.synchronize()
        return 1

    sample = measure(run, seconds, warm=3)
    return _rate(precision, 9 * CHANNELS**2 * LAYERS * side**2, sample.calls_s)


def _rate(precision: Precise, macs: int, calls_s: Sequence[float]) -> ConvolutionRate:
    return ConvolutionRate(precision=precision, macs_per_second=macs / statistics.median(calls_s))
