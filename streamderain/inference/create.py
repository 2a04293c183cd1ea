"""Choose what runs a network."""

from __future__ import annotations

from streamderain.errors import ModelError, UsageError
from streamderain.hardware import features_here
from streamderain.inference.backend import Backend, NullBackend
from streamderain.inference.cuda import cuda_is_built_in, open_onnx
from streamderain.inference.precision import check_precision, multiplies_bytes
from streamderain.models import NULL, PLANES, ModelInfo, resolve_model

__all__ = ["BACKENDS", "DEVICES", "create_backend"]

DEVICES = ("auto", "cpu", "cuda")
BACKENDS = ("auto", "onnx", "openvino", "tensorrt", "torch")


def create_backend(
    model: str, device: str = "auto", backend: str = "auto", precision: str = "auto"
) -> Backend:
    """Load a network by name or file.

    Args:
        model: a shipped name, ``null``, or the path of an ``.onnx`` or ``.safetensors`` file.
        device: ``cpu``, ``cuda`` (an error where it can't be had), or ``auto``: CUDA where it
            works, else the CPU.
        backend: ``onnx``, ``openvino``, ``tensorrt``, ``torch``, or ``auto``: PyTorch for
            ``.safetensors``; else, on the CPU, OpenVINO where it is installed; else ONNX Runtime.
        precision: ``int8`` for the shipped network in 8 bits (an error where there is none),
            ``float``, or ``auto``: 8 bits on CPUs that are faster in them. GPUs and PyTorch choose
            for themselves.

    Raises:
        UsageError: no such device, backend or precision, or they don't go together.
        ModelError: no such model, no runtime, or the model doesn't fit.
    """
    if device not in DEVICES:
        raise UsageError(f"the device is auto, cpu or cuda, not {device!r}")
    if backend not in BACKENDS:
        raise UsageError(f"the backend is {', '.join(BACKENDS)}, not {backend!r}")
    check_precision(precision)
    info = resolve_model(model)
    if info.path is None:
        assert info.name == NULL
        return NullBackend()
    if info.path.name.endswith(PLANES):
        raise ModelError(
            f"{info.path} is a part of a network, for pictures as codecs hold them; name the "
            "network itself"
        )
    pytorch_file = info.path.suffix == ".safetensors"
    if pytorch_file and backend in ("onnx", "openvino", "tensorrt"):
        raise ModelError(f"{info.path} is for PyTorch; leave --backend {backend} out")
    on_cpu = (
        device == "cpu"
        or (backend == "openvino" and device == "auto")
        or (device == "auto" and not cuda_is_built_in())
    )
    if precision == "int8" and (pytorch_file or backend in ("torch", "tensorrt") or not on_cpu):
        raise UsageError(
            "networks in 8 bits run on the CPU, by ONNX Runtime or OpenVINO; leave "
            "--precision int8 out, or add --device cpu"
        )
    if pytorch_file or backend == "torch":
        from streamderain.inference.pytorch import PyTorchBackend

        return PyTorchBackend(info, device)
    if on_cpu and backend != "tensorrt":
        info = _in_precision(info, precision)
    if backend == "auto" and _prefers_openvino(device):
        from streamderain.inference.openvino import OpenVinoBackend

        try:
            return OpenVinoBackend(info)
        except ModelError:  # what it can't read, ONNX Runtime may; or tell what is wrong with
            return open_onnx(info, device)
    if backend == "openvino":
        from streamderain.inference.openvino import OpenVinoBackend

        if device == "cuda":
            raise UsageError(
                "OpenVINO runs on the CPU; leave --device cuda or --backend openvino out"
            )
        return OpenVinoBackend(info)
    return open_onnx(info, device, tensorrt=backend == "tensorrt")


def _in_precision(info: ModelInfo, precision: str) -> ModelInfo:
    """Return the network in 8 bits where that is asked for, or faster."""
    if precision == "float" or (precision == "auto" and not multiplies_bytes(features_here())):
        return info
    found = info.in_eight_bits()
    if found is None and precision == "int8":
        raise ModelError(f"{info.name} isn't shipped in 8 bits; leave --precision int8 out")
    if found is not None:
        found.for_planes()  # a runtime that can't load it would only be passed over
    return found or info


def _prefers_openvino(device: str) -> bool:
    """Say whether OpenVINO is there and nothing faster."""
    from streamderain.inference.openvino import has_openvino

    return device != "cuda" and (device == "cpu" or not cuda_is_built_in()) and has_openvino()
