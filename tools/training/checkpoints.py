"""Checkpoints of a training: written whole, read with a sentence for what is wrong."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from streamderain.errors import ModelError
from streamderain.networks.registry import build

__all__ = ["averaged_network", "load_checkpoint", "save_checkpoint"]


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write ``state`` beside ``path`` and rename it: a kill at any moment leaves a whole file."""
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path, device: torch.device | None = None) -> dict[str, Any]:
    """Read a checkpoint onto a device, the CPU unless told.

    Returns:
        ``recipe`` (a plain dict), ``network`` and ``ema`` (state dicts), ``optimizer``, ``step``
        (how many are done) and ``seconds``.

    Raises:
        ModelError: the file is missing, or no checkpoint of a training.
    """
    if not path.is_file():
        raise ModelError(f"the checkpoint {path} is not there; check the path")
    try:
        state = torch.load(path, map_location=device or torch.device("cpu"), weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} can't be read as a checkpoint; is it damaged?") from error
    needed = {"recipe", "network", "ema", "optimizer", "step", "seconds"}
    if not isinstance(state, dict) or not needed <= state.keys():
        raise ModelError(f"{path} is not a checkpoint that tools.train wrote")
    return state


def averaged_network(checkpoint: dict[str, Any], device: torch.device | None = None) -> nn.Module:
    """Return the network of a checkpoint with its averaged weights, ready to run.

    Raises:
        ModelError: this version of streamderain has no such network.
    """
    try:
        network = build(checkpoint["recipe"]["network"])
        network.load_state_dict(checkpoint["ema"])
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"the checkpoint doesn't fit this version: {reason}") from error
    return network.to(device or torch.device("cpu")).eval().requires_grad_(False)
