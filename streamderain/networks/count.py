"""What a network costs: multiplications, counted on its layers as they run."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["macs_per_pixel", "multiplications"]


def multiplications(network: nn.Module, height: int, width: int) -> int:
    """Return the multiplications of convolutions and matrix products for one picture of that size.

    Counted by PyTorch's own counter, which counts an addition beside each.
    """
    inputs: int = getattr(network, "inputs", 3)
    training, device = network.training, next(network.parameters()).device
    network.eval()  # so that nothing is learnt from zeros
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, inputs, height, width, device=device))
    finally:
        network.train(training)
    return int(counter.get_total_flops()) // 2


def macs_per_pixel(network: nn.Module) -> float:
    """Return :func:`multiplications` for each pixel of a 256×256 picture."""
    return multiplications(network, 256, 256) / 256**2
