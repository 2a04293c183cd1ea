"""Networks in PyTorch, from safetensors: where ONNX Runtime lacks a device or a graph."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.inference.backend import Frames
from streamderain.inference.graphs import check_result, failed, one_line
from streamderain.models import ModelInfo, sha256_of_file

if TYPE_CHECKING:
    import torch

__all__ = ["PyTorchBackend", "load_network", "read_weights"]


class PyTorchBackend(ClosesAtExit):
    """One network in PyTorch (:class:`~streamderain.inference.backend.Backend`).

    On the CPU in 32-bit floats, where it differs from ONNX Runtime by one level at most; on CUDA
    in bfloat16, or float16 where a GPU has no bfloat16, in channels-last order.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; its weights are the file itself, or
            the ``.safetensors`` beside it. Pickles are never read.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is one.

    Raises:
        ModelError: PyTorch or the weights are missing, they don't fit the network, or CUDA was
            asked for and can't be had.
    """

    def __init__(self, info: ModelInfo, device: str = "auto") -> None:
        torch = _import_torch()
        has_cuda = bool(torch.cuda.is_available())
        if device == "cuda" and not has_cuda:
            raise ModelError(
                "CUDA was asked for but PyTorch finds none; check the driver with nvidia-smi and "
                "that PyTorch is built for CUDA, or use --device cpu"
            )
        self.name, self.model = info.name, info
        self.device = "cuda" if has_cuda and device != "cpu" else "cpu"
        self.notes: tuple[str, ...] = ()
        self.runtime = f"PyTorch {torch.__version__}"
        self._torch = torch
        self._where = torch.device(self.device)
        self._graph = _load(info, self._where)
        self.inputs = int(self._graph.inputs)
        self._reduced = torch.bfloat16
        if self.device == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            self._reduced = torch.float16

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: it was closed.
        """
        if self._graph is None:
            raise ModelError(f"the model {self.name} was closed")
        torch = self._torch
        try:
            with (
                torch.inference_mode(),
                torch.autocast(self.device, self._reduced, enabled=self.device == "cuda"),
            ):
                given = torch.from_numpy(np.ascontiguousarray(frames)).to(self._where)
                derained = self._graph(given).cpu().numpy()
        except (RuntimeError, MemoryError) as error:
            raise failed(self.name, frames, error) from error
        return check_result(self.name, frames, np.ascontiguousarray(derained))

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._graph = None


def read_weights(path: Path) -> tuple[str, dict[str, torch.Tensor]]:
    """Return the network's name and its weights, in 32-bit floats.

    Raises:
        ModelError: the file is missing, no safetensors, or doesn't name its network.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stored:
            network = (stored.metadata() or {}).get("network")
            weights = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} can't be read as safetensors: {one_line(error)}") from error
    if network is None:
        raise ModelError(f"{path} doesn't say whose weights it holds; tools.export_onnx writes it")
    return network, {
        key: value.float() if value.is_floating_point() else value for key, value in weights.items()
    }


def load_network(info: ModelInfo) -> torch.nn.Module:
    """Return a network in evaluation mode on the CPU: float N×3×H×W in [0, 1] in and out.

    Args:
        info: its weights are the file itself, or the ``.safetensors`` beside it.

    Raises:
        ModelError: PyTorch or the weights are missing, or they don't fit the network.
    """
    _import_torch()
    from streamderain.networks.registry import build

    if info.path is None:
        raise ModelError(f"the model {info.name} is no network")
    path = info.path.with_suffix(".safetensors")
    if not path.is_file():
        raise ModelError(
            f"{info.name} has no weights for PyTorch ({path} is not there); run it without "
            "--backend torch"
        )
    if info.card and info.card.pytorch_sha256 not in (None, sha256_of_file(path)):
        raise ModelError(
            f"{path} is not the file that its card describes; install streamderain again, or fetch "
            "the file again if it is a checkout"
        )
    name, weights = read_weights(path)
    try:
        network = build(name)
        network.load_state_dict(weights)
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} doesn't fit the network {name} of this version ({one_line(error)}); export it "
            "again"
        ) from error
    return network.eval().requires_grad_(False)


def _load(info: ModelInfo, device: torch.device) -> Any:
    from streamderain.networks.uint8 import UInt8Graph

    graph: Any = UInt8Graph(load_network(info)).to(device)
    if device.type == "cuda":
        import torch

        graph = graph.to(memory_format=torch.channels_last)
    return graph


def _import_torch() -> ModuleType:
    try:
        import safetensors  # noqa: F401 - needed a moment later
        import torch
    except ImportError as error:
        raise ModelError(
            "PyTorch isn't installed; run: pip install 'streamderain[torch]', or leave "
            "--backend torch out"
        ) from error
    return torch
