"""Network A: attention deraining with rain embedding.

After Huang & Kang, "Attention-based image deraining with rain embedding" (IEEE, document 10317431;
thesis, National Taiwan Normal University 2023), which builds on ECNet (Li, Cao, Zhao & Zou,
WACV 2022). A picture is background and rain, O = B + R; the network finds R̂ and gives
B̂ = O − R̂. An autoencoder, trained first on rain alone, says what its bottleneck should hold.

Published: the encoder-decoder and its widths, RLCN, the channel attention block, MSPAM on the
skips, the losses. *Ours*, where the papers are silent: five channel attention blocks of 32
channels with no fewer than 4 hidden ones, the inner widths of MSPAM (half of the channels, then a
quarter) and a fourth convolution, of dilation 1, in the place of the merged features themselves,
which gives the published number of parameters; no bias beside a batch normalisation; rain in
[−1, 1] as the difference of pictures in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamderain.networks.blocks import (
    ChannelAttentionBlock,
    MultiScalePixelAttention,
    PaddedNetwork,
    rectified_contrast,
)

__all__ = ["CONFIGS", "AttentionEmbedding", "Parts", "RainAutoencoder", "build"]

WIDTHS = (32, 64, 128, 256)


@dataclass(frozen=True)
class EmbeddingConfig:
    """Which of its parts the network has.

    Attributes:
        cab: channel attention blocks before the first level.
        mspam: pixel attention on the skips; without it the encoder's features go through as they
            are.
    """

    cab: int = 5
    mspam: bool = True


CONFIGS: dict[str, EmbeddingConfig | None] = {
    "attention-embedding": EmbeddingConfig(),
    "attention-embedding-cab": EmbeddingConfig(mspam=False),
    "attention-embedding-plain": EmbeddingConfig(cab=0, mspam=False),
    "rain-autoencoder": None,
}
"""The network, what the paper's ablation compares it with, and what is trained before it."""


class ConvUnit(nn.Sequential):
    """conv3×3, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class NormalisedResidualBlock(nn.Module):
    """RB: two 3×3 convolutions with batch normalisation beside a shortcut.

    ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x)); the shortcut is x itself, or conv1×1-BN where
    the width changes. N×C×H×W in, N×D×H×W out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvUnit(inputs, outputs),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return F.relu(self.body(x) + self.shortcut(x))


class Encoder(nn.Module):
    """Stem, channel attention blocks, and a residual block a level.

    For 96×96: 32×96², 64×48², 128×24², 256×12²; the last is the bottleneck Z.

    Args:
        inputs: channels of the picture.
        cab: channel attention blocks before the first level.
    """

    def __init__(self, inputs: int, cab: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, WIDTHS[0], 3, padding=1),
            nn.InstanceNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        self.attention = nn.Sequential(*(ChannelAttentionBlock(WIDTHS[0]) for _ in range(cab)))
        self.levels = nn.ModuleList(
            NormalisedResidualBlock(a, b) for a, b in pairwise((WIDTHS[0], *WIDTHS))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the features of all levels, the finest first; the last is Z."""
        x = self.attention(self.stem(x))
        features: list[Tensor] = []
        for level in self.levels:
            x = level(F.max_pool2d(x, 2) if features else x)
            features.append(x)
        return features


class RainAutoencoder(PaddedNetwork):
    """Rain through a bottleneck: what the bottleneck of :class:`AttentionEmbedding` should hold.

    The same encoder and decoder, without skips, on R = O − B in [−1, 1]. It is trained first, by
    the squared error of R̂, and then frozen. ``forward(rain) -> R̂``, any size.
    """

    multiple = 8

    def __init__(self, cab: int = 5) -> None:
        super().__init__()
        self.encoder = Encoder(3, cab)
        self.up = nn.ModuleList(ConvUnit(b, a) for a, b in pairwise(WIDTHS))
        self.blocks = nn.ModuleList(NormalisedResidualBlock(w, w) for w in WIDTHS[:-1])
        self.head = nn.Conv2d(WIDTHS[0], 3, 1)

    def embed(self, rain: Tensor) -> Tensor:
        """Return Z_ideal of rain N×3×H×W: N×256×H/8×W/8."""
        features: list[Tensor] = self.encoder(rain)
        return features[-1]

    def restore(self, rainy: Tensor) -> Tensor:
        """Return R̂ of rain N×3×H×W, sides multiples of 8."""
        x = self.embed(rainy)
        for up, block in zip(reversed(self.up), reversed(self.blocks), strict=True):
            x = block(up(F.interpolate(x, scale_factor=2.0)))
        rain_found: Tensor = self.head(x)
        return rain_found


class Parts(NamedTuple):
    """What the losses look at.

    Attributes:
        derained: N×3×H×W in [0, 1], not clamped.
        embedding: Z, N×256×H/8×W/8.
        attention: M_att of the three skips, N×1×H×W and halves of it, the finest first.
    """

    derained: Tensor
    embedding: Tensor
    attention: list[Tensor]


class AttentionEmbedding(PaddedNetwork):
    """Take the rain out of pictures: ``forward(rainy) -> derained``.

    Float N×3×H×W in [0, 1], any size. For 96×96: encoder 32×96², 64×48², 128×24², Z 256×12²;
    decoder 128×24², 64×48², 32×96²; out 3×96².
    """

    multiple = 8

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        self.encoder = Encoder(6, config.cab)
        self.up = nn.ModuleList(ConvUnit(b, a) for a, b in pairwise(WIDTHS))
        self.skip = nn.ModuleList(
            MultiScalePixelAttention(w, w // 2, (1, 3, 5, 7), w // 4, keep_merged=False)
            for w in WIDTHS[:-1]
            if config.mspam
        )
        self.block = nn.ModuleList(NormalisedResidualBlock(w, w) for w in WIDTHS[:-1])
        self.skip_block = nn.ModuleList(NormalisedResidualBlock(w, w) for w in WIDTHS[:-1])
        self.head = nn.Conv2d(WIDTHS[0], 3, 1)

    def parts(self, rainy: Tensor) -> Parts:
        """Return the derained picture and what the losses look at; sides multiples of 8."""
        signed = rainy * 2 - 1
        *skips, x = self.encoder(torch.cat([signed, rectified_contrast(rainy)], dim=1))
        embedding: Tensor = x
        attention: list[Tensor] = []
        for level in reversed(range(len(self.up))):
            x = self.up[level](F.interpolate(x, scale_factor=2.0))
            kept = skips[level]
            if self.skip:
                pixels = cast(MultiScalePixelAttention, self.skip[level])
                weight = pixels.attention(kept, x)
                attention.insert(0, weight)
                kept = weight * kept
            x = self.block[level](x) + self.skip_block[level](kept)
        return Parts((signed - self.head(x) + 1) / 2, embedding, attention)

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain pictures whose sides are multiples of 8."""
        return self.parts(rainy).derained


def build(name: str) -> PaddedNetwork:
    """Return the network of that name, with weights from N(0, 0.02) as published.

    Raises:
        KeyError: no such variant; :data:`CONFIGS` lists them.
    """
    config = CONFIGS[name]
    network = RainAutoencoder() if config is None else AttentionEmbedding(config)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
    return network
