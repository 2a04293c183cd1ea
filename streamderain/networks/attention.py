"""Network E, *ours*: attention deraining of one picture, made fast.

The ideas are those of Huang & Kang (NTNU thesis 2023; IEEE document 10317431): channel attention
in the encoder, multi-scale pixel attention on the skips, rain as the residual. The graph is our
own: a U-Net that starts at ½ or ¼ of the resolution, dense 3×3 convolutions with ReLU, no
normalisation, one channel attention a group of blocks. One set of weights serves every rain.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from streamderain.networks.blocks import (
    ChannelAttention,
    MultiScalePixelAttention,
    PaddedNetwork,
    ResidualBlock,
)


@dataclass(frozen=True)
class AttentionConfig:
    """Shape of the network.

    Attributes:
        stride: resolution of the first level as a divisor, 2 or 4.
        widths: channels of each level, finest first; multiples of 16 run fastest.
        encoder: residual blocks of each level on the way down (the last is the bottleneck).
        decoder: residual blocks of each level on the way up, finest first; one fewer than widths.
        attention: inner width of the pixel attention on each skip, finest first; 0 for none.
        unweighted: so many of the finest levels have no channel attention: it walks through all
            of their features three times, which takes as long as a convolution there.
    """

    stride: int
    widths: tuple[int, ...]
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    attention: tuple[int, ...]
    unweighted: int = 0


CONFIGS: dict[str, AttentionConfig] = {
    "attention-xs": AttentionConfig(
        stride=4,
        widths=(48, 80),
        encoder=(1, 4),
        decoder=(1,),
        attention=(16,),
    ),
    "attention-s": AttentionConfig(
        stride=2,
        widths=(16, 48, 80),
        encoder=(1, 2, 4),
        decoder=(1, 2),
        attention=(8, 16),
    ),
    "attention-m": AttentionConfig(
        stride=2,
        widths=(32, 64, 128),
        encoder=(2, 3, 4),
        decoder=(2, 3),
        attention=(16, 16),
    ),
}


class AttentionGroup(nn.Module):
    """Residual blocks followed by one channel attention; the group itself is residual.

    Without the attention it is its blocks, and without any of these nothing.
    """

    def __init__(self, channels: int, blocks: int, *, weighted: bool = True) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(channels) for _ in range(blocks)))
        self.attention = ChannelAttention(channels) if weighted else None

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W in, the same shape out."""
        out: Tensor = self.blocks(x)
        return out if self.attention is None else x + self.attention(out)


class PlainSkip(nn.Module):
    """A skip connection without attention."""

    def forward(self, encoder: Tensor, decoder: Tensor) -> Tensor:
        """Return the encoder's features."""
        return encoder


class AttentionDerain(PaddedNetwork):
    """Take the rain out of pictures: ``forward(rainy) -> derained``.

    Float N×3×H×W in [0, 1] in and out, any H and W from 1 up.

    For 96×96 and ``attention-m``: stem 32×48², levels 64×24² and 128×12², head 3×96².
    """

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.multiple = config.stride * 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(3, widths[0], config.stride, stride=config.stride)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.encoder = nn.ModuleList(
            AttentionGroup(w, n, weighted=level >= config.unweighted)
            for level, (w, n) in enumerate(zip(widths, config.encoder, strict=True))
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.skip = nn.ModuleList(
            MultiScalePixelAttention(w, inner) if inner else PlainSkip()
            for w, inner in zip(widths, config.attention, strict=False)
        )
        self.decoder = nn.ModuleList(
            AttentionGroup(w, n, weighted=level >= config.unweighted)
            for level, (w, n) in enumerate(zip(widths, config.decoder, strict=False))
        )
        self.head = nn.Sequential(
            nn.Conv2d(widths[0], 3 * config.stride**2, 3, padding=1),
            nn.PixelShuffle(config.stride),
        )

    def rain(self, rainy: Tensor) -> Tensor:
        """Return the rain layer R̂ of a picture whose sides are multiples of :attr:`multiple`."""
        rain: Tensor = self.head(self.body(self.stem(rainy)))
        return rain

    def body(self, x: Tensor) -> Tensor:
        """Return the features that the head takes, of those that the stem gives."""
        skips: list[Tensor] = []
        for level, group in enumerate(self.encoder):
            x = group(x)
            if level < len(self.down):
                skips.append(x)
                x = self.down[level](x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](x)
            x = x + self.skip[level](skips[level], x)
            x = self.decoder[level](x)
        return x

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain pictures whose sides are multiples of :attr:`multiple`."""
        return rainy - self.rain(rainy)


def build(name: str) -> AttentionDerain:
    """Return the network of that name, freshly initialised.

    Raises:
        KeyError: no such size; :data:`CONFIGS` lists them.
    """
    return AttentionDerain(CONFIGS[name])
