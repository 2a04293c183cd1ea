"""Blocks that several networks share; each stands here once.

All take and give float tensors N×C×H×W.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelAttention(nn.Module):
    """Scale each channel by a weight in (0, 1) found from the channels' global means.

    CA = σ(conv1×1(ReLU(conv1×1(mean(x))))), after Hu et al., "Squeeze-and-Excitation Networks",
    CVPR 2018. N×C×H×W in, the same shape out.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        assert self.reduce.bias is not None
        nn.init.constant_(self.reduce.bias, 0.5)  # few as they are, none may begin dead
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with its channels weighted."""
        g = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(g))))


class ResidualBlock(nn.Module):
    """x + conv3×3(ReLU(conv3×3(x))): no normalisation, so that nothing is left to fold."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W in, the same shape out."""
        out: Tensor = x + self.conv2(F.relu(self.conv1(x)))
        return out


class MultiScalePixelAttention(nn.Module):
    """Multi-scale pixel attention on a skip connection (MSPAM).

    After Huang & Kang, "Attention-based image deraining with rain embedding" (IEEE, document
    10317431): encoder and decoder features are merged, looked at with dilations 3, 5 and 7, and
    become one map in (0, 1) that says where the encoder's detail is to be trusted.
    *Ours*: the inner width is free (published: half of the channels), to keep the module cheap.

    Args:
        channels: channels of the encoder's and of the decoder's features.
        inner: width of the merged features.
        dilations: dilations of the 3×3 convolutions beside the merged features themselves.
    """

    def __init__(self, channels: int, inner: int, dilations: tuple[int, ...] = (3, 5, 7)) -> None:
        super().__init__()
        self.merge = nn.Conv2d(2 * channels, inner, 3, padding=1)
        self.scales = nn.ModuleList(
            nn.Conv2d(inner, inner, 3, padding=d, dilation=d) for d in dilations
        )
        total = inner * (1 + len(dilations))
        self.squeeze = nn.Conv2d(total, inner, 1)
        self.score = nn.Conv2d(inner, 1, 1)

    def attention(self, encoder: Tensor, decoder: Tensor) -> Tensor:
        """Return the map itself, N×1×H×W in (0, 1)."""
        merged = self.merge(torch.cat([encoder, decoder], dim=1))
        stacked = torch.cat([merged, *(conv(merged) for conv in self.scales)], dim=1)
        return torch.sigmoid(self.score(F.relu(self.squeeze(stacked))))

    def forward(self, encoder: Tensor, decoder: Tensor) -> Tensor:
        """Return the encoder's features, N×C×H×W, weighted by the map."""
        return self.attention(encoder, decoder) * encoder
