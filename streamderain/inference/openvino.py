"""Networks on OpenVINO, which is the faster runtime on x86 processors of either make."""

from __future__ import annotations

import os
from collections import OrderedDict
from types import ModuleType
from typing import Any

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.inference.backend import PICTURE, VIDEO, Frames
from streamderain.models import ModelInfo

__all__ = ["OpenVinoBackend", "has_openvino"]

SHAPES_KEPT = 3
"""Compiled networks that are kept, one for each shape of frames that came last."""


class OpenVinoBackend(ClosesAtExit):
    """One network on OpenVINO's CPU plugin (:class:`~streamderain.inference.backend.Backend`).

    It is compiled for each shape of frames that comes, which takes a tenth of a second and makes a
    run a fifth faster than with free sizes. Processors with bfloat16 (AVX512-BF16, AMX) compute in
    it: twice as fast, and at most a few levels apart from 32-bit floats, as the cards' figures
    for it say.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; with a path.
        threads: of the CPU's operators, or None for one a core that the process may use.
        precision: ``bf16``, ``f32``, or ``auto``: bfloat16 where the processor has it.

    Raises:
        ModelError: OpenVINO isn't installed; the file is no ONNX, or not uint8 N×H×W×3 in and out
            with free sizes.
    """

    device = "cpu"

    def __init__(
        self, info: ModelInfo, threads: int | None = None, precision: str = "auto"
    ) -> None:
        ov = _import_openvino()
        self.name, self.model = info.name, info
        self.notes: tuple[str, ...] = ()
        self._core: Any = ov.Core()
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "auto":
            precision = "bf16" if "BF16" in able else "f32"
        self.precision = precision
        self._options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads or _cores(),
            "ENABLE_CPU_PINNING": False,  # decoding and encoding want these cores as well
        }
        try:
            self._graph: Any = self._core.read_model(str(info.path))
        except RuntimeError as error:
            raise ModelError(
                f"{info.path} can't be loaded as an ONNX model: {_one_line(error)}"
            ) from error
        _check_signature(self._graph, info)
        self.inputs = int(self._graph.inputs[0].partial_shape[3].get_length())
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelError: memory ran out, the model refused the size, or it was closed.
        """
        if self._graph is None:
            raise ModelError(f"the model {self.name} was closed")
        try:
            request = self._request(frames.shape)
            found = request.infer({0: np.ascontiguousarray(frames)}, share_inputs=True)
            result = np.asarray(found[0])
        except RuntimeError as error:
            raise ModelError(
                f"the model {self.name} failed on frames of {frames.shape[2]}x{frames.shape[1]} "
                f"(batch {frames.shape[0]}): {_one_line(error)}"
            ) from error
        if result.shape != (*frames.shape[:3], PICTURE):
            raise ModelError(
                f"the model {self.name} gives frames of another size than it takes: "
                f"{result.shape} for {frames.shape}; streamderain needs them equal"
            )
        return result

    def _request(self, shape: tuple[int, ...]) -> Any:
        """Return what runs frames of that shape, compiled when they come for the first time."""
        if shape in self._compiled:
            self._compiled.move_to_end(shape)
        else:
            while len(self._compiled) >= SHAPES_KEPT:
                self._compiled.popitem(last=False)
            self._graph.reshape(list(shape))
            network = self._core.compile_model(self._graph, "CPU", self._options)
            self._compiled[shape] = network.create_infer_request()
        return self._compiled[shape]

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._graph = None
        self._compiled.clear()


def has_openvino() -> bool:
    """Say whether OpenVINO is installed and can be loaded."""
    try:
        _import_openvino()
    except ModelError:
        return False
    return True


def _import_openvino() -> ModuleType:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise ModelError(
            "OpenVINO isn't installed; run: pip install 'streamderain[openvino]', or leave "
            "--backend openvino out"
        ) from error
    except ImportError as error:
        raise ModelError(
            f"OpenVINO is installed but can't be loaded ({_one_line(error)}); "
            "run: pip install --force-reinstall openvino"
        ) from error
    runtime: ModuleType = openvino
    return runtime


def _check_signature(graph: Any, info: ModelInfo) -> None:
    ends = [*graph.inputs, *graph.outputs]
    found = ", ".join(
        f"{end.any_name}: {end.element_type.to_string()} {end.partial_shape}" for end in ends
    )
    fits = len(ends) == 2 and _is_frames(ends[0], (PICTURE, VIDEO))
    if not fits or not _is_frames(ends[1], (PICTURE,)):
        raise ModelError(
            f"{info.path} does not take and give uint8 frames N×H×W×3 (it has {found}); "
            "put the conversion inside the graph, as the shipped models do"
        )
    if any(ends[0].partial_shape[axis].is_static for axis in range(3)):
        raise ModelError(
            f"{info.path} takes frames of a fixed size only (it has {found}); "
            "export it with batch, height and width free"
        )


def _is_frames(end: Any, channels: tuple[int, ...]) -> bool:
    shape = end.partial_shape
    if end.element_type.to_string() != "u8" or shape.rank.is_dynamic or len(shape) != 4:
        return False
    return shape[3].is_static and shape[3].get_length() in channels


def _cores() -> int:
    """Return how many cores the process may use, which is not how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
