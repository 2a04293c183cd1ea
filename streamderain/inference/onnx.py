"""Networks on ONNX Runtime, CPU or CUDA."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from streamderain.errors import ModelError, UsageError
from streamderain.inference.backend import Backend, Frames, NullBackend
from streamderain.models import NULL, ModelInfo, resolve_model

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["DEVICES", "OnnxBackend", "create_backend"]

DEVICES = ("auto", "cpu", "cuda")


def create_backend(model: str, device: str = "auto") -> Backend:
    """Load a network by name or file.

    Args:
        model: a shipped name, ``null``, or the path of an ``.onnx`` file.
        device: ``cpu``, ``cuda`` (an error where it can't be had), or ``auto``: CUDA where it
            works, else the CPU.

    Raises:
        UsageError: no such device.
        ModelError: no such model, no runtime, or the model doesn't fit.
    """
    if device not in DEVICES:
        raise UsageError(f"the device is auto, cpu or cuda, not {device!r}")
    info = resolve_model(model)
    if info.name == NULL:
        return NullBackend()
    return OnnxBackend(info, device)


class OnnxBackend:
    """One network in one ONNX Runtime session.

    Args:
        info: from :func:`~streamderain.models.resolve_model`.
        device: as for :func:`create_backend`.
        threads: of the CPU's operators, or None for one a core.

    Raises:
        ModelError: ONNX Runtime isn't installed; the file is no ONNX, or not uint8 N×H×W×3 in and
            out; CUDA was asked for and can't be had.
    """

    def __init__(self, info: ModelInfo, device: str = "auto", threads: int | None = None) -> None:
        ort = _import_runtime()
        self.name, self.model = info.name, info
        providers = _providers(ort, device)
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what fails is raised; the log only repeats it
        options.intra_op_num_threads = threads or len(_cores())
        # A spinning thread takes the core that decoding and encoding need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(str(info.path), options, providers=providers)
        except Exception as error:
            raise ModelError(
                f"{info.path} can't be loaded as an ONNX model: {_first_line(error)}"
            ) from error
        self.device = "cuda" if session.get_providers()[0].startswith("CUDA") else "cpu"
        if device == "cuda" and self.device != "cuda":
            raise ModelError(
                "CUDA was asked for but ONNX Runtime could not start it; check the driver with "
                "nvidia-smi, or use --device cpu"
            )
        _check_signature(session, info)
        self._input = session.get_inputs()[0].name
        self._session: onnxruntime.InferenceSession | None = session

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 of the same shape N×H×W×3.

        Raises:
            ModelError: memory ran out, or the model refused the size.
        """
        if self._session is None:
            raise ModelError(f"the model {self.name} was closed")
        try:
            (derained,) = self._session.run(None, {self._input: frames})
        except Exception as error:
            raise ModelError(
                f"the model {self.name} failed on frames of {frames.shape[2]}x{frames.shape[1]} "
                f"(batch {frames.shape[0]}): {_first_line(error)}"
            ) from error
        result = np.asarray(derained)
        if result.shape != frames.shape:
            raise ModelError(
                f"the model {self.name} gives frames of another shape than it takes: "
                f"{result.shape} for {frames.shape}; streamderain needs them equal"
            )
        return result

    def close(self) -> None:
        """Let go of the session and its memory."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def _import_runtime() -> ModuleType:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ModelError(
            "no runtime is installed; run: pip install 'streamderain[cpu]', "
            "or 'streamderain[cuda]' for an NVIDIA GPU"
        )
    import onnxruntime as ort

    return ort


def _providers(ort: ModuleType, device: str) -> list[str]:
    has_cuda = "CUDAExecutionProvider" in ort.get_available_providers()
    if device == "cpu" or (device == "auto" and not has_cuda):
        return ["CPUExecutionProvider"]
    if not has_cuda:
        raise ModelError(
            "CUDA was asked for but this ONNX Runtime is built without it; run: "
            "pip uninstall onnxruntime && pip install 'streamderain[cuda]', or use --device cpu"
        )
    ort.preload_dlls()
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]


def _check_signature(session: onnxruntime.InferenceSession, info: ModelInfo) -> None:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = len(inputs) == len(outputs) == 1 and all(
        end.type == "tensor(uint8)" and len(end.shape) == 4 and end.shape[3] == 3
        for end in (*inputs, *outputs)
    )
    if not fits:
        found = ", ".join(f"{end.name}: {end.type} {end.shape}" for end in (*inputs, *outputs))
        raise ModelError(
            f"{info.path} does not take and give uint8 frames N×H×W×3 (it has {found}); "
            "put the conversion inside the graph, as the shipped models do"
        )


def _cores() -> set[int] | range:
    if sys.platform == "linux":
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
