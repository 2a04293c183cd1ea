"""What a network costs: multiplications, counted on its layers as they run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["macs_per_pixel", "multiplications"]


def multiplications(network: nn.Module, height: int, width: int) -> int:
    """Return the multiplications of convolutions and linear layers for one picture of that size."""
    total = 0

    def count(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            total += args[0][:, 0].numel() * module.weight.numel()
        elif isinstance(module, nn.Conv2d):
            total += out[:, 0].numel() * module.weight.numel()
        elif isinstance(module, nn.Linear):
            total += out.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, height, width))
    finally:
        for hook in hooks:
            hook.remove()
    return total


def macs_per_pixel(network: nn.Module) -> float:
    """Return :func:`multiplications` for each pixel of a 256×256 picture."""
    return multiplications(network, 256, 256) / 256**2
