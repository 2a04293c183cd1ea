"""Blocks with a memory, and those that stand beside them; all take and give N×C×H×W."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ConvLSTM", "LSTMState", "ResidualPair"]

LSTMState = tuple[Tensor, Tensor]
"""Hidden state and cell, N×C×H×W each."""


class ConvLSTM(nn.Module):
    """A convolutional LSTM (Shi et al., NeurIPS 2015) without peepholes, as in PReNet.

    The four gates come from one conv3×3 of input and hidden state.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor, state: LSTMState | None) -> tuple[Tensor, LSTMState]:
        """Return the hidden state, and the whole state for the next step; None begins at zero."""
        hidden, cell = state if state is not None else (torch.zeros_like(x), torch.zeros_like(x))
        enter, forget, new, leave = self.gates(torch.cat([x, hidden], dim=1)).chunk(4, dim=1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        hidden = torch.sigmoid(leave) * torch.tanh(cell)
        return hidden, (hidden, cell)


class ResidualPair(nn.Module):
    """ReLU(x + ReLU(conv3×3(ReLU(conv3×3(x))))): PReNet's residual pair."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return F.relu(x + F.relu(self.conv2(F.relu(self.conv1(x)))))
