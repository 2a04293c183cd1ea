"""Network C: MSDR-Net, rain removal and detail recovery as two tasks at three scales.

After Han et al., "MSDR-Net" (Chinese Automation Congress 2022): one encoder-decoder finds the rain
R, another the detail D that is lost with it; at each scale B = I − R + D. Published: the two
branches, their blocks, widths and depths, the outputs at ¼, ½ and 1, the losses. *Ours*: its
bottleneck of 11×11 unpadded convolutions fixes the size of the input at 352; here it is a conv3×3
beside the broadcast global mean, without an outer tanh, so that any size works; the first two
stages both stand at the full resolution; half of the widths in ``msdrnet``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamderain.networks.blocks import ChannelAttention, PaddedNetwork

__all__ = ["CONFIGS", "MSDRConfig", "MSDRNet", "Scales", "build"]

BLOCKS = (1, 1, 3, 3, 3)


@dataclass(frozen=True)
class MSDRConfig:
    """Shape of the network.

    Attributes:
        widths: channels of the five stages of the encoder, at 1, 1, ½, ¼ and ⅛.
    """

    widths: tuple[int, int, int, int, int]


CONFIGS = {
    "msdrnet": MSDRConfig((32, 32, 32, 64, 128)),
    "msdrnet-narrow": MSDRConfig((16, 16, 16, 32, 64)),
}
"""Half of the published widths, and a quarter, which a CPU can train."""


class Res2Block(nn.Module):
    """Four groups of channels, each convolved with the one before: many scales in one layer.

    y1 = x1, y2 = φ(x2), y3 = φ(x3 + y2), y4 = φ(x4 + y3), φ = ReLU(conv3×3); then channel
    attention and the input (Gao et al., "Res2Net", TPAMI 2021). N×C×H×W in, the same out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        group = channels // 4
        self.convs = nn.ModuleList(nn.Conv2d(group, group, 3, padding=1) for _ in range(3))
        self.attention = ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        first, *rest = x.chunk(4, dim=1)
        found = [first]
        for index, (conv, part) in enumerate(zip(self.convs, rest, strict=True)):
            found.append(F.relu(conv(part + found[-1] if index else part)))
        out: Tensor = x + self.attention(torch.cat(found, dim=1))
        return out


class RainBlock(nn.Module):
    """conv1×1-ReLU, two :class:`Res2Block`, channels weighted, beside its own input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.body = nn.Sequential(Res2Block(channels), Res2Block(channels))
        self.attention = ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W in, the same shape out."""
        out: Tensor = x + self.attention(self.body(F.relu(self.enter(x))))
        return out


class DilatedUnit(nn.Module):
    """conv3×3 at dilations 1, 3 and 5 side by side, then conv1×1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=d, dilation=d) for d in (1, 3, 5)
        )
        self.merge = nn.Conv2d(3 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W in, the same shape out."""
        found = torch.cat([F.relu(conv(x)) for conv in self.scales], dim=1)
        return F.relu(self.merge(found))


class DetailBlock(nn.Module):
    """conv1×1-ReLU, two :class:`DilatedUnit`, beside its own input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 1)
        self.body = nn.Sequential(DilatedUnit(channels), DilatedUnit(channels))

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W in, the same shape out."""
        out: Tensor = x + self.body(F.relu(self.enter(x)))
        return out


class Branch(nn.Module):
    """An encoder-decoder with an output at ¼, ½ and 1.

    For 96×96 and widths 32/32/32/64/128: 32×96², 32×96², 32×48², 64×24², 128×12²; decoder
    128×24², 64×48², 32×96².
    """

    def __init__(self, widths: tuple[int, ...], block: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.enter = nn.ModuleList(
            nn.Identity() if a == b else nn.Conv2d(a, b, 1)
            for a, b in pairwise((widths[0], *widths))
        )
        self.encoder = nn.ModuleList(
            nn.Sequential(*(block(w) for _ in range(count)))
            for w, count in zip(widths, BLOCKS, strict=True)
        )
        self.bottleneck = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        ups = (widths[4], widths[3], widths[2])  # at ¼, ½ and 1
        below = (widths[4], *ups[:-1])
        beside = (widths[3], widths[2], widths[1])
        self.decoder = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b + s, w, 3, padding=1), nn.ReLU(inplace=True), block(w))
            for b, s, w in zip(below, beside, ups, strict=True)
        )
        self.heads = nn.ModuleList(nn.Conv2d(w, 3, 3, padding=1) for w in ups)

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Return N×3 pictures at 1, ½ and ¼ of the size."""
        x, skips = self.stem(picture), []
        for stage, (enter, blocks) in enumerate(zip(self.enter, self.encoder, strict=True)):
            x = blocks(enter(F.max_pool2d(x, 2) if stage > 1 else x))
            skips.append(x)
        x = F.relu(self.bottleneck(x)) + x.mean(dim=(2, 3), keepdim=True)
        found: list[Tensor] = []
        for blocks, head, skip in zip(self.decoder, self.heads, skips[3:0:-1], strict=True):
            x = blocks(torch.cat([F.interpolate(x, scale_factor=2.0), skip], dim=1))
            found.insert(0, head(x))
        return found


class Scales(NamedTuple):
    """What the losses look at, at 1, ½ and ¼ of the size: N×3×H×W and parts of it, not clamped."""

    derained: list[Tensor]
    rain: list[Tensor]


class MSDRNet(PaddedNetwork):
    """Take the rain out of pictures: ``forward(rainy) -> derained``.

    Float N×3×H×W in [0, 1], any size.
    """

    multiple = 8

    def __init__(self, config: MSDRConfig) -> None:
        super().__init__()
        self.rain = Branch(config.widths, RainBlock)
        self.detail = Branch(config.widths, DetailBlock)

    def scales(self, rainy: Tensor) -> Scales:
        """Return backgrounds and rain at three scales; sides multiples of 8."""
        rain, detail = self.rain(rainy), self.detail(rainy)
        derained = [
            shrunk(rainy, 2**level) - r + d
            for level, (r, d) in enumerate(zip(rain, detail, strict=True))
        ]
        return Scales(derained, rain)

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain pictures whose sides are multiples of 8."""
        return self.scales(rainy).derained[0]


def shrunk(picture: Tensor, factor: int) -> Tensor:
    """Return N×3×H×W at 1/factor of its size, by means."""
    return F.avg_pool2d(picture, factor) if factor > 1 else picture


def build(name: str) -> MSDRNet:
    """Return the network of that name, freshly initialised.

    Raises:
        KeyError: no such size; :data:`CONFIGS` lists them.
    """
    return MSDRNet(CONFIGS[name])
