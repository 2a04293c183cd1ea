"""A checkpoint of a training as a backend, to be judged before it is exported."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch

from streamderain.closing import ClosesAtExit
from streamderain.inference.backend import Frames
from streamderain.models import ModelInfo
from streamderain.networks.registry import Restorer
from tools.training.trainer import load_ema, to_picture, to_tensor

__all__ = ["CheckpointBackend"]


class CheckpointBackend(ClosesAtExit):
    """Runs the averaged weights of ``last.pt`` with PyTorch, on the CPU, in fp32.

    Raises:
        ModelError: the checkpoint is missing or none.
    """

    device = "cpu"
    lanes = 1
    runtime = f"PyTorch {torch.__version__}"
    notes = ()

    def __init__(self, path: Path) -> None:
        self.name = path.parent.name
        self.model = ModelInfo(name=self.name, path=path)
        self._device = torch.device("cpu")
        self._network = load_ema(path, self._device)
        self.inputs = cast(Restorer, self._network).inputs

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3."""
        result = frames[..., :3].copy()
        with torch.no_grad():
            for index in range(len(frames)):
                x = to_tensor(frames[index : index + 1], self._device)
                result[index] = to_picture(self._network(x))
        return result

    def close(self) -> None:
        """Do nothing: memory goes with the object."""
