"""Choose what runs a network."""

from __future__ import annotations

from streamderain.errors import ModelError, UsageError
from streamderain.inference.backend import Backend, NullBackend
from streamderain.inference.onnx import DEVICES, OnnxBackend
from streamderain.models import NULL, resolve_model

__all__ = ["BACKENDS", "create_backend"]

BACKENDS = ("auto", "onnx", "torch")


def create_backend(model: str, device: str = "auto", backend: str = "auto") -> Backend:
    """Load a network by name or file.

    Args:
        model: a shipped name, ``null``, or the path of an ``.onnx`` or ``.safetensors`` file.
        device: ``cpu``, ``cuda`` (an error where it can't be had), or ``auto``: CUDA where it
            works, else the CPU.
        backend: ``onnx``, ``torch``, or ``auto``: PyTorch for ``.safetensors``, else ONNX Runtime.

    Raises:
        UsageError: no such device or backend.
        ModelError: no such model, no runtime, or the model doesn't fit.
    """
    if device not in DEVICES:
        raise UsageError(f"the device is auto, cpu or cuda, not {device!r}")
    if backend not in BACKENDS:
        raise UsageError(f"the backend is auto, onnx or torch, not {backend!r}")
    info = resolve_model(model)
    if info.path is None:
        assert info.name == NULL
        return NullBackend()
    pytorch_file = info.path.suffix == ".safetensors"
    if pytorch_file and backend == "onnx":
        raise ModelError(f"{info.path} is for PyTorch; leave --backend onnx out")
    if pytorch_file or backend == "torch":
        from streamderain.inference.pytorch import PyTorchBackend

        return PyTorchBackend(info, device)
    return OnnxBackend(info, device)
