"""A network with its conversions inside: uint8 pictures in, uint8 pictures out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from streamderain.networks.registry import Restorer

__all__ = ["UInt8Graph"]


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
        height, width, m = frames.shape[1], frames.shape[2], self.multiple
        device = frames.device
        rows = torch.arange((height + m - 1) // m * m, device=device).clamp(max=height - 1)
        columns = torch.arange((width + m - 1) // m * m, device=device).clamp(max=width - 1)
        padded = frames.index_select(1, rows).index_select(2, columns)
        restored = cast(Restorer, self.network).restore(padded.permute(0, 3, 1, 2).float() / 255)
        levels = (restored[:, :, :height, :width] * 255).round().clamp(0, 255)
        return levels.to(torch.uint8).permute(0, 2, 3, 1)
