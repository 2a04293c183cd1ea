"""Blocks of attention between channels and between places; all take and give N×C×H×W."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["ChannelLayerNorm", "GatedFeedForward", "TransformerBlock", "TransposedAttention"]


class ChannelLayerNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, with a weight and no bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` with each pixel's channels at a variance of 1."""
        variance = x.var(dim=1, keepdim=True, unbiased=False)
        return x * torch.rsqrt(variance + 1e-5) * self.weight


class TransposedAttention(nn.Module):
    """Attention between channels instead of places: its cost grows with H·W, not with its square.

    After Zamir et al., "Restormer", CVPR 2022 (MDTA): queries, keys and values by conv1×1 and a
    depthwise 3×3; C/heads × C/heads weights from normalised queries and keys.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.spread = nn.Conv2d(
            3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False
        )
        self.out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what each channel gathers from the others."""
        batch, channels, height, width = x.shape
        q, k, v = (
            self.spread(self.qkv(x)).reshape(batch, 3, self.heads, -1, height * width).unbind(1)
        )
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        weights = torch.softmax(q @ k.transpose(-2, -1) * self.temperature, dim=-1)
        gathered: Tensor = self.out((weights @ v).reshape(batch, channels, height, width))
        return gathered


class GatedFeedForward(nn.Module):
    """Two branches of conv1×1 and a depthwise 3×3; one, through GELU, gates the other.

    After Zamir et al., CVPR 2022 (GDFN).
    """

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.expand = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.spread = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the gated features."""
        gate, value = self.spread(self.expand(x)).chunk(2, dim=1)
        out: Tensor = self.out(F.gelu(gate) * value)
        return out


class TransformerBlock(nn.Module):
    """An attention, then a gated feed-forward, each normalised first and residual.

    Args:
        channels: of what goes through.
        attention: a module of N×C×H×W, and of what else :meth:`forward` is given.
        expansion: channels of the feed-forward over those of the block.
    """

    def __init__(self, channels: int, attention: nn.Module, expansion: float) -> None:
        super().__init__()
        self.norm1 = ChannelLayerNorm(channels)
        self.attention = attention
        self.norm2 = ChannelLayerNorm(channels)
        self.feed = GatedFeedForward(channels, expansion)

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """Return the block's output, N×C×H×W."""
        x = x + self.attention(self.norm1(x), *context)
        out: Tensor = x + self.feed(self.norm2(x))
        return out
