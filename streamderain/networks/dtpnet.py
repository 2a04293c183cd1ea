"""Network B: DTPNet, a detail- and texture-aware progressive network.

After Huang et al., "DTPNet" (Neurocomputing 2024): a stem that hands on detail, a U-Net of
channel transformers for texture with coupled scales, and a recurrent stage that refines the
picture in three steps. Published: all widths, depths and heads, the resampling, the coupling, the
losses. *Ours*, where the paper is silent: layer normalisation without a bias, no biases in the
transformers (as in Restormer), the coupling's place before the next level's up-convolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamderain.networks.blocks import PaddedNetwork
from streamderain.networks.recurrent import ConvLSTM, ResidualPair
from streamderain.networks.transformer import TransformerBlock, TransposedAttention

__all__ = ["CONFIGS", "DTPNet", "DTPNetConfig", "Stages", "build"]


EXPANSION = 2.66
"""Channels of the feed-forwards over those of their blocks."""


@dataclass(frozen=True)
class DTPNetConfig:
    """Shape of the network.

    Attributes:
        width: channels of the first level; doubled at each further one.
        encoder: transformer blocks of the four levels on the way down.
        decoder: blocks of the three levels on the way up, the coarsest first.
        heads: of the four levels.
        refinement: blocks at the end.
        recursions: of the progressive stage.
        memory: its channels.
        pairs: its residual pairs.
    """

    width: int = 64
    encoder: tuple[int, int, int, int] = (4, 6, 6, 8)
    decoder: tuple[int, int, int] = (6, 6, 6)
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    refinement: int = 4
    recursions: int = 3
    memory: int = 32
    pairs: int = 5


CONFIGS = {
    "dtpnet": DTPNetConfig(),
    "dtpnet-narrow": DTPNetConfig(
        width=24, encoder=(1, 2, 2, 3), decoder=(2, 2, 1), refinement=1, memory=16, pairs=3
    ),
}
"""The published size, and one that a CPU can train (*ours*)."""


class DetailStem(nn.Module):
    """W∗O − W∗↑(D1 − ↑D2): features of the picture less those of its middle frequencies.

    D1 = ↓½ ReLU(W₃∗O), D2 = ↓½ D1, bilinear; W is shared. N×3×H×W in, N×C×H×W out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(3, 3, 3, padding=1)
        self.embed = nn.Conv2d(3, width, 3, padding=1, bias=False)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the features."""
        half = _half(F.relu(self.reduce(picture)))
        middle = half - _double(_half(half))
        out: Tensor = self.embed(picture) - self.embed(_double(middle))
        return out


class TextureNet(nn.Module):
    """The U-Net; for 96×96 and a width of 64: 64×96², 128×48², 256×24², 512×12²."""

    def __init__(self, config: DTPNetConfig) -> None:
        super().__init__()
        widths = [config.width * 2**level for level in range(4)]
        self.stem = DetailStem(widths[0])
        self.encoder = nn.ModuleList(
            _blocks(width, heads, count)
            for width, heads, count in zip(widths, config.heads, config.encoder, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(w, w // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2))
            for w in widths[:-1]
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(w, 2 * w, 3, padding=1, bias=False), nn.PixelShuffle(2))
            for w in widths[1:]
        )
        self.merge = nn.ModuleList(nn.Conv2d(2 * w, w, 1, bias=False) for w in widths[:-1])
        self.decoder = nn.ModuleList(
            _blocks(width, heads, count)
            for width, heads, count in zip(
                widths[:-1], config.heads[:-1], reversed(config.decoder), strict=True
            )
        )
        self.refinement = _blocks(widths[0], config.heads[0], config.refinement)
        self.head = nn.Conv2d(widths[0], 3, 3, padding=1, bias=False)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the first picture of N×3×H×W, sides multiples of 8."""
        inputs, features = [self.stem(picture)], []
        for level, blocks in enumerate(self.encoder):
            features.append(blocks(inputs[-1]))
            if level < len(self.down):
                inputs.append(self.down[level](features[-1]))
        x = features[-1]
        for level in reversed(range(len(self.up))):
            x = self.merge[level](torch.cat([self.up[level](x), features[level]], dim=1))
            x = self.decoder[level](x)
            x = x + self.up[level](inputs[level + 1])  # the coupling of the scales
        first: Tensor = self.head(self.refinement(x))
        return first


class ProgressiveStage(nn.Module):
    """Refines a picture step by step, as PReNet does (Ren et al., CVPR 2019)."""

    def __init__(self, recursions: int, width: int, pairs: int) -> None:
        super().__init__()
        self.recursions = recursions
        self.enter = nn.Sequential(nn.Conv2d(6, width, 3, padding=1), nn.ReLU(inplace=True))
        self.memory = ConvLSTM(width)
        self.body = nn.Sequential(*(ResidualPair(width) for _ in range(pairs)))
        self.leave = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, rainy: Tensor, first: Tensor) -> Tensor:
        """Return the picture after all steps."""
        x, state = first, None
        for _ in range(self.recursions):
            hidden, state = self.memory(self.enter(torch.cat([rainy, x], dim=1)), state)
            x = self.leave(self.body(hidden)) + rainy
        return x


class Stages(NamedTuple):
    """What the losses look at: the first picture and the last, N×3×H×W each, not clamped."""

    first: Tensor
    derained: Tensor


class DTPNet(PaddedNetwork):
    """Take the rain out of pictures: ``forward(rainy) -> derained``.

    Float N×3×H×W in [0, 1], any size.
    """

    multiple = 8

    def __init__(self, config: DTPNetConfig) -> None:
        super().__init__()
        self.texture = TextureNet(config)
        self.progressive = ProgressiveStage(config.recursions, config.memory, config.pairs)

    def stages(self, rainy: Tensor) -> Stages:
        """Return the picture after each stage; sides multiples of 8."""
        first = self.texture(rainy)
        return Stages(first, self.progressive(rainy, first))

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain pictures whose sides are multiples of 8."""
        return self.stages(rainy).derained


def build(name: str) -> DTPNet:
    """Return the network of that name, freshly initialised.

    Raises:
        KeyError: no such size; :data:`CONFIGS` lists them.
    """
    return DTPNet(CONFIGS[name])


def _blocks(width: int, heads: int, count: int) -> nn.Sequential:
    return nn.Sequential(
        *(
            TransformerBlock(width, TransposedAttention(width, heads), EXPANSION)
            for _ in range(count)
        )
    )


def _half(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
