"""Network D: two stages, a mask of the rain and non-local attention.

After Hou et al., "Dual-stage deraining with rain masks and non-local attention" (J. Zhejiang Univ.
60(4), 2026). Published: masks by morphological operations that hide rainy places while features
are extracted; then clusters of features that guide a rearrangement of pixels, so that attention in
windows reaches far; suppress first, reconstruct after. Widths, losses and schedule are not public
and *ours*, as are: top-hats with lines of 7 and 15 pixels in four directions, shifted windows of
8×8 in a U-Net, a penalty log(1 − mask) on rainy keys, 32 learnt prototypes, groups of 64 places.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streamderain.networks.blocks import PaddedNetwork
from streamderain.networks.morphology import top_hats
from streamderain.networks.transformer import TransformerBlock

__all__ = ["CONFIGS", "DualStage", "DualStageConfig", "Restoration", "build"]

LENGTHS = (7, 15)
WINDOW = 8
GROUP = 64
SHARPNESS = 10.0
EXPANSION = 2.0
"""Of the softmax over cosines: a place that is 0.3 nearer to one prototype is sure."""

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class DualStageConfig:
    """Shape of the network.

    Attributes:
        widths: channels of the first stage's three levels.
        blocks: of each level, on the way down and up.
        width: channels of the second stage.
        prototypes: clusters of its features.
    """

    widths: tuple[int, int, int] = (32, 64, 128)
    blocks: int = 2
    width: int = 48
    prototypes: int = 32


CONFIGS = {
    "dualstage": DualStageConfig(),
    "dualstage-narrow": DualStageConfig(widths=(16, 32, 64), blocks=1, width=32),
}


class RainMask(nn.Module):
    """Where it rains: N×1×H×W in (0, 1), from the top-hats of Y, widened by a pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Conv2d(4 * len(LENGTHS), 1, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the mask of N×3×H×W."""
        luma = (picture * picture.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        mask = torch.sigmoid(self.score(10 * top_hats(luma, LENGTHS)))
        return F.max_pool2d(mask, 3, stride=1, padding=1)


class MaskedWindowAttention(nn.Module):
    """Attention within windows of 8×8, in which rainy places ask but are weak answers.

    The logits of a key get λ·log(1 − mask + ε), λ learnt for each head. Every other block shifts
    the windows by half (Liu et al., "Swin Transformer", ICCV 2021); what wraps around the border
    is let through: the picture's opposite edge is as good a stranger as any.
    """

    def __init__(self, channels: int, heads: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.shift = heads, WINDOW // 2 if shifted else 0
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.penalty = nn.Parameter(torch.ones(heads, 1, 1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return what each place gathers; N×C×H×W and N×1×H×W, sides multiples of 8."""
        height, width = x.shape[-2:]
        both = torch.cat([self.qkv(x), mask], dim=1)
        if self.shift:
            both = torch.roll(both, (-self.shift, -self.shift), dims=(2, 3))
        places = to_windows(both)  # windows × 64 × channels
        qkv, hiding = places[..., :-1], places[..., -1:]
        split = qkv.reshape(-1, WINDOW * WINDOW, 3, self.heads, x.shape[1] // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4).unbind(0)
        hidden = F.softplus(self.penalty) * torch.log(
            1 - hiding.transpose(1, 2).unsqueeze(1) + 1e-3
        )
        logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + hidden
        gathered = (torch.softmax(logits, dim=-1) @ v).transpose(1, 2).flatten(2)
        found = from_windows(gathered, height, width)
        if self.shift:
            found = torch.roll(found, (self.shift, self.shift), dims=(2, 3))
        out: Tensor = self.out(found)
        return out


class Suppression(nn.Module):
    """The first stage: a U-Net that finds the rain, hidden from itself by the mask.

    For 96×96 and widths 32/64/128: 32×96², 64×48², 128×24².
    """

    def __init__(self, config: DualStageConfig) -> None:
        super().__init__()
        widths = config.widths

        def blocks(width: int) -> nn.ModuleList:
            return nn.ModuleList(
                TransformerBlock(
                    width, MaskedWindowAttention(width, width // 16, bool(i % 2)), EXPANSION
                )
                for i in range(config.blocks)
            )

        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(blocks(w) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in widths[:-1])
        self.decoder = nn.ModuleList(blocks(w) for w in widths[:-1])
        self.head = nn.Conv2d(widths[0], 3, 3, padding=1)

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        """Return R₁ of N×3×H×W, sides multiples of 32."""
        x, masks, skips = self.stem(picture), [mask], []
        for level, blocks in enumerate(self.encoder):
            for block in cast(nn.ModuleList, blocks):
                x = block(x, masks[-1])
            if level < len(self.down):
                skips.append(x)
                x = self.down[level](x)
                masks.append(F.max_pool2d(masks[-1], 2))
        for level in reversed(range(len(self.up))):
            x = self.merge[level](torch.cat([self.up[level](x), skips[level]], dim=1))
            for block in cast(nn.ModuleList, self.decoder[level]):
                x = block(x, masks[level])
        rain: Tensor = self.head(x)
        return rain


class ClusteredAttention(nn.Module):
    """Attention between places that look alike, wherever in the picture they are.

    Each place belongs to its nearest prototype; places are sorted by cluster, stably, attend
    within groups of 64, and go back. Every other block rolls the groups by half. What a place
    gathers counts by how surely it belongs to its cluster, through which the prototypes learn.
    """

    def __init__(self, channels: int, prototypes: int, rolled: bool) -> None:
        super().__init__()
        self.roll = GROUP // 2 if rolled else 0
        self.prototypes = nn.Parameter(torch.randn(prototypes, channels) / channels**0.5)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return what each place gathers; N×C×H×W, H·W a multiple of 64."""
        channels, height, width = x.shape[1:]
        places = x.flatten(2).transpose(1, 2)  # N × HW × C
        alike = F.normalize(places, dim=-1) @ F.normalize(self.prototypes, dim=-1).T
        # Cluster first, place second: a key that is unique, so that any sort is stable.
        count = height * width
        sureness = torch.softmax(SHARPNESS * alike, dim=-1).amax(dim=-1, keepdim=True)
        key = alike.argmax(dim=-1) * count + torch.arange(count, device=x.device)
        order = key.argsort(dim=-1)
        back = order.argsort(dim=-1)
        mixed = self.qkv(x).flatten(2).transpose(1, 2)
        ordered = mixed.gather(1, order.unsqueeze(-1).expand(-1, -1, 3 * channels))
        if self.roll:
            ordered = torch.roll(ordered, -self.roll, dims=1)
        q, k, v = ordered.reshape(-1, count // GROUP, GROUP, 3 * channels).chunk(3, dim=-1)
        logits = q @ k.transpose(-2, -1) / channels**0.5
        gathered = (torch.softmax(logits, dim=-1) @ v).flatten(1, 2)
        if self.roll:
            gathered = torch.roll(gathered, self.roll, dims=1)
        found = sureness * gathered.gather(1, back.unsqueeze(-1).expand(-1, -1, channels))
        out: Tensor = self.out(found.transpose(1, 2).reshape(-1, channels, height, width))
        return out


class Reconstruction(nn.Module):
    """The second stage, at half of the resolution: the detail that went with the rain."""

    def __init__(self, config: DualStageConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(7, config.width, 2, stride=2)
        self.blocks = nn.Sequential(
            *(
                TransformerBlock(
                    config.width,
                    ClusteredAttention(config.width, config.prototypes, bool(i % 2)),
                    EXPANSION,
                )
                for i in range(4)
            )
        )
        self.head = nn.Sequential(nn.Conv2d(config.width, 12, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, rainy: Tensor, first: Tensor, mask: Tensor) -> Tensor:
        """Return D of N×3×H×W."""
        found: Tensor = self.head(self.blocks(self.stem(torch.cat([rainy, first, mask], dim=1))))
        return found


class Restoration(NamedTuple):
    """What the losses look at.

    Attributes:
        derained: B₂ = B₁ + D, N×3×H×W, not clamped.
        first: B₁ = O − R₁.
        mask: N×1×H×W in (0, 1).
    """

    derained: Tensor
    first: Tensor
    mask: Tensor


class DualStage(PaddedNetwork):
    """Take the rain out of pictures: ``forward(rainy) -> derained``.

    Float N×3×H×W in [0, 1], any size.
    """

    multiple = 32
    bears_half = False  # it sorts by what it computes: a small difference becomes a large one

    def __init__(self, config: DualStageConfig) -> None:
        super().__init__()
        self.mask = RainMask()
        self.suppression = Suppression(config)
        self.reconstruction = Reconstruction(config)

    def restoration(self, rainy: Tensor) -> Restoration:
        """Return the picture after each stage, and the mask; sides multiples of 32."""
        mask = self.mask(rainy)
        first = rainy - self.suppression(rainy, mask)
        derained = first + self.reconstruction(rainy, first, mask)
        return Restoration(derained, first, mask)

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain pictures whose sides are multiples of 32."""
        return self.restoration(rainy).derained


def to_windows(x: Tensor) -> Tensor:
    """Cut N×C×H×W into windows: (N·windows)×64×C."""
    batch, channels, height, width = x.shape
    down, across = height // WINDOW, width // WINDOW
    parts = x.reshape(batch, channels, down, WINDOW, across, WINDOW)
    return parts.permute(0, 2, 4, 3, 5, 1).reshape(-1, WINDOW * WINDOW, channels)


def from_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """Put windows back together: N×C×H×W."""
    channels = windows.shape[-1]
    down, across = height // WINDOW, width // WINDOW
    parts = windows.reshape(-1, down, across, WINDOW, WINDOW, channels)
    return parts.permute(0, 5, 1, 3, 2, 4).reshape(-1, channels, height, width)


def build(name: str) -> DualStage:
    """Return the network of that name, freshly initialised.

    Raises:
        KeyError: no such size; :data:`CONFIGS` lists them.
    """
    return DualStage(CONFIGS[name])
