"""A network with its conversions inside: uint8 pictures in, uint8 pictures out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from streamderain.networks.registry import Restorer

__all__ = ["UInt8Graph", "padded"]


class UInt8Graph(nn.Module):
    """A network as it is exported: uint8 N×H×W×C in, N×H×W×3 out, every size free.

    Args:
        network: a :class:`~streamderain.networks.registry.Restorer`.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.multiple = cast(Restorer, network).multiple
        self.inputs = cast(Restorer, network).inputs

    def forward(self, frames: Tensor) -> Tensor:
        """Return the derained frames."""
        height, width = frames.shape[1], frames.shape[2]
        pixels = padded(frames, self.multiple)
        restored = cast(Restorer, self.network).restore(pixels.permute(0, 3, 1, 2).float() / 255)
        levels = (restored[:, :, :height, :width] * 255).round().clamp(0, 255)
        return levels.to(torch.uint8).permute(0, 2, 3, 1)


def padded(frames: Tensor, multiple: int) -> Tensor:
    """Return N×H×W×C with its last row and column repeated up to multiples of a number."""
    height, width = frames.shape[1], frames.shape[2]
    device = frames.device
    rows = torch.arange((height + multiple - 1) // multiple * multiple, device=device)
    columns = torch.arange((width + multiple - 1) // multiple * multiple, device=device)
    frames = frames.index_select(1, rows.clamp(max=height - 1))
    return frames.index_select(2, columns.clamp(max=width - 1))
