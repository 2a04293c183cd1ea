"""Networks in PyTorch, from safetensors: where ONNX Runtime lacks a device or a graph."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.inference.backend import Frames
from streamderain.inference.graphs import check_result, failed, one_line
from streamderain.inference.overlap import CudaTools, OverlappedRunner
from streamderain.models import ModelInfo, sha256_of_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["PyTorchBackend", "load_network", "read_weights"]


class PyTorchBackend(ClosesAtExit):
    """One network in PyTorch (:class:`~streamderain.inference.backend.Backend`).

    On the CPU in 32-bit floats, where it differs from ONNX Runtime by one level at most. On CUDA
    its layers compute in float16, in channels-last order, with the ends and the residual in 32-bit
    floats: by arithmetic on the CPU, no network that ships is more than one level apart then, where
    bfloat16 is up to seven. Batches go through in chunks that overlap (``overlap.py``); the next
    may begin before one is done.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; its weights are the file itself, or
            the ``.safetensors`` beside it. Pickles are never read.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is one.
        half: compute in float16 on CUDA, where the network bears it.
        graphs: record CUDA graphs.

    Raises:
        ModelError: PyTorch or the weights are missing, they don't fit the network, or CUDA was
            asked for and can't be had.
    """

    lanes = 1

    def __init__(
        self, info: ModelInfo, device: str = "auto", *, half: bool = True, graphs: bool = True
    ) -> None:
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
        if device == "auto" and not has_cuda and shutil.which("nvidia-smi"):
            self.notes = (
                "PyTorch finds no GPU that it can use; check the driver with nvidia-smi and that "
                "PyTorch is built for CUDA. Everything runs on the CPU.",
            )
        self._torch = torch
        self._graph: Any = UInt8Network(info, torch.device(self.device), half=half)
        self.inputs, self.precision = self._graph.inputs, self._graph.precision
        self.runtime = f"PyTorch {torch.__version__}"
        self._runner: OverlappedRunner | None = None
        if self.device == "cuda":
            self.runtime += f", {self.precision}"
            self._runner = OverlappedRunner(self._graph, CudaTools(torch), graphs=graphs)

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: it was closed.
        """
        return self.start(frames)()

    def can_start(self, count: int, height: int, width: int) -> bool:
        """Say whether frames are under way when they were started: on a GPU."""
        return self._runner is not None

    def start(self, frames: Frames) -> Callable[[], Frames]:
        """Begin what :meth:`run` does (:class:`~streamderain.inference.backend.StartsAhead`).

        On the CPU it is done then.
        """
        if self._graph is None:
            raise ModelError(f"the model {self.name} was closed")
        with self._told(frames):
            if self._runner is None:
                given = self._torch.from_numpy(np.ascontiguousarray(frames))
                derained = np.ascontiguousarray(self._graph(given).numpy())
                check_result(self.name, frames, derained)
                return lambda: derained
            finish = self._runner.start(frames)

        def result() -> Frames:
            with self._told(frames):
                return finish()

        return result

    @contextlib.contextmanager
    def _told(self, frames: Frames) -> Iterator[None]:
        """Say in our words what PyTorch says."""
        try:
            with self._torch.inference_mode():
                yield
        except (RuntimeError, MemoryError) as error:
            raise failed(self.name, frames.shape, error) from error

    def alone(self, shape: tuple[int, ...]) -> Callable[[], None]:
        """Return what runs the network on memory of its device and waits for it: to measure it.

        Args:
            shape: N×H×W×:attr:`inputs`; N is a size of buckets.
        """
        torch = self._torch
        with torch.inference_mode():
            if self._runner is not None:
                call: Callable[[], None] = torch.inference_mode()(self._runner.alone(shape))
                return call
            given = torch.zeros(shape, dtype=torch.uint8)
        return lambda: self._graph(given)

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._graph = None
        if self._runner is not None:
            self._runner.forget()
            self._runner = None


class UInt8Network:
    """A network on a device: uint8 N×H×W×C in, N×H×W×3 out, as tensors there.

    Args:
        info: its weights are the file itself, or the ``.safetensors`` beside it.
        device: where it runs.
        half: compute in float16; None, or where the network doesn't bear it: in 32-bit floats.

    Attributes:
        inputs: channels that it takes.
        precision: ``float16`` or ``float32``, between the ends.
    """

    def __init__(self, info: ModelInfo, device: torch.device, *, half: bool) -> None:
        import torch

        from streamderain.networks.uint8 import UInt8Graph

        network = load_network(info)
        graph: Any = UInt8Graph(network).to(device)
        self.inputs = int(graph.inputs)
        self._half = half and device.type != "cpu" and getattr(network, "bears_half", True)
        self._where = device.type
        self._torch = torch
        if device.type == "cuda":
            graph = graph.to(memory_format=torch.channels_last)
        self._graph = graph
        if self._half:
            self.halve()
        if device.type == "cuda":
            torch.cuda.synchronize()  # other streams are going to use the weights

    @property
    def precision(self) -> str:
        """What it computes in between its ends."""
        return "float16" if self._half else "float32"

    def halve(self) -> None:
        """Keep the weights of the heavy layers in float16, so that no run has to convert them."""
        nn = self._torch.nn
        for layer in self._graph.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                layer.half()
        self._half = True

    def __call__(self, frames: Tensor) -> Tensor:
        """Return the derained frames."""
        torch = self._torch
        with (
            torch.inference_mode(),
            torch.autocast(self._where, torch.float16, enabled=self._half, cache_enabled=False),
            # TensorFloat-32 has the mantissa of 16-bit floats, and would be the default.
            torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False),
        ):
            derained: Tensor = self._graph(frames)
            return derained


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
