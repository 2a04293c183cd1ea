"""The attention networks as they are quantised: all of it at their own resolution.

Written down plainly (``uint8.py``), half of a small quantised network's time goes into its ends:
planes out of pixels, a shuffle back, and the residual on three planes of the full size. Here the
stem's s×s pixels become the channels of one *place* at once, in the order in which they lie in
memory, and the stem is a 1×1 convolution; the head gives its channels in the same order, so the
residual is computed at the network's own resolution and goes back into pixels as bytes. The
results are the same but for the order of a sum.

Between its ends the graph takes and gives places alone, as bytes (:data:`PLACES`); a runtime that
can cut a graph there makes them itself (``streamderain/inference/packing.py``), frame and prior
apart, and neither stacks them nor takes them apart again.

What was measured (``video-xs``, 720p, OpenVINO 2026.4, two x86 cores, 8 bits): with frame and prior
picked out of one packed tensor by convolutions, and bytes quantised after they were turned to
planes, 37 ms; as it is, with both ends cut off, see docs/performance.md. In floats the plain graph
is the faster one, which is why those are exported plainly.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamderain.networks.attention import AttentionDerain
from streamderain.networks.uint8 import padded
from streamderain.networks.video import VideoDerain

__all__ = ["DERAINED", "PLACES", "Ends", "PackedGraph", "PlacesGraph", "by_places"]

PLACES = ("places.frame", "places.prior", "places.reliability")
"""What the bytes between the ends are called: the frame's places, and for video the prior's and
its reliability's."""
DERAINED = "places.derained"
"""What comes out between the ends."""


@dataclass(frozen=True)
class Ends:
    """A network's first and last convolution as a graph of places has them; P pixels a place.

    Attributes:
        stem: weight O×C×1×1 and bias, of all channels of the places, one part after the other.
        rain: weight F×I×3×3 and bias, of what is taken off the frame's F channels.
        trust: the same of the P pixels' trust, and how that is spread to the channels, F×P×1×1;
            None for pictures.
    """

    stem: tuple[Tensor, Tensor]
    rain: tuple[Tensor, Tensor]
    trust: tuple[Tensor, Tensor, Tensor] | None


class PlacesGraph(nn.Module):
    """What a network computes between its ends: places in, places out.

    Args:
        network: whose weights are taken; it isn't changed.
        ends: its ends.
    """

    def __init__(self, network: AttentionDerain, ends: Ends) -> None:
        super().__init__()
        self.network = deepcopy(network)
        self.network.up = nn.ModuleList(map(_Spread, network.up))
        self.side = network.config.stride
        self.video = ends.trust is not None
        self.stem = _convolution(*ends.stem)
        # A split of what one convolution gives would be slower than convolutions of their own.
        self.rain = _convolution(*ends.rain)
        if ends.trust is not None:
            weight, bias, spread = ends.trust
            self.trust = _convolution(weight, bias)
            self.colours = _convolution(spread)

    def of_places(self, *places: Tensor) -> Tensor:
        """Return derained places, uint8 N×h×w×F, of those of :data:`PLACES`, uint8 N×h×w×C."""
        found = self.network.body(self.stem(_planes(torch.cat(places, dim=3))))
        frame, rain = _planes(places[0]), self.rain(found)
        if self.video:
            trust = _planes(places[2]) * torch.sigmoid(self.trust(found))
            difference = _planes(places[1]) - frame
            derained = frame - rain + self.colours(trust) * (difference + rain)
        else:
            derained = frame - rain
        levels: Tensor = (derained * 255).round().clamp(0, 255).to(torch.uint8)
        return levels.permute(0, 2, 3, 1)


class _Spread(nn.Module):
    """A transposed convolution of 2×2 pixels with a stride of 2, as a convolution and a shuffle.

    In 8 bits it takes two thirds of the time: OpenVINO computes transposed ones in floats.

    Args:
        transposed: whose weights are taken.
    """

    def __init__(self, transposed: nn.Module) -> None:
        super().__init__()
        assert isinstance(transposed, nn.ConvTranspose2d) and transposed.bias is not None
        weight = transposed.weight.permute(1, 2, 3, 0).flatten(0, 2)
        bias = transposed.bias.repeat_interleave(4)
        self.spread = _convolution(weight[..., None, None], bias)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×h×w in, N×D×2h×2w out."""
        return functional.pixel_shuffle(self.spread(x), 2)


class PackedGraph(PlacesGraph):
    """A network of the attention family, uint8 N×H×W×C in, N×H×W×3 out, every size free.

    Args:
        network: whose weights are taken; it isn't changed.
    """

    def __init__(self, network: AttentionDerain) -> None:
        places = network.config.stride**2
        stem, head = network.stem, network.head[0]
        assert isinstance(head, nn.Conv2d) and head.bias is not None and stem.bias is not None
        weight, bias = by_places(head.weight, places), by_places(head.bias, places)
        parts, trust = [_of_places(stem.weight[:, :3])], None
        if isinstance(network, VideoDerain):
            parts += [_of_places(stem.weight[:, 3:6]), _of_places(stem.weight[:, 6:])]
            spread = torch.eye(places).repeat_interleave(3, dim=0)[..., None, None]
            trust = weight[:, 3:].flatten(0, 1), bias[:, 3:].flatten(), spread
        super().__init__(
            network,
            Ends(
                stem=(torch.cat(parts, dim=1)[..., None, None], stem.bias),
                rain=(weight[:, :3].flatten(0, 1), bias[:, :3].flatten()),
                trust=trust,
            ),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Return the derained frames."""
        height, width, side = frames.shape[1], frames.shape[2], self.side
        pixels = padded(frames, self.network.multiple)
        count, rows, columns, _ = pixels.shape
        frame = self._places(pixels[..., :3])
        if self.video:
            levels = self.of_places(
                frame, self._places(pixels[..., 3:6]), self._places(pixels[..., 6:])
            )
        else:
            levels = self.of_places(frame)
        blocks = levels.reshape(count, rows // side, columns // side, side, side * 3)
        pixels = blocks.transpose(2, 3).reshape(count, rows, columns, 3)
        derained: Tensor = pixels[:, :height, :width]
        return derained

    def _places(self, pixels: Tensor) -> Tensor:
        """Return pixels N×H×W×C as places N×h×w×(s·s·C)."""
        count, rows, columns, channels = pixels.shape
        side = self.side
        blocks = pixels.reshape(count, rows // side, side, columns // side, side * channels)
        return blocks.transpose(2, 3).flatten(3)


def _convolution(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    """Return a convolution of the same size, with weights O×I×k×k."""
    outputs, inputs, side, _ = weight.shape
    made = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=bias is not None)
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None and made.bias is not None:
            made.bias.copy_(bias)
    return made


def _planes(places: Tensor) -> Tensor:
    """Return bytes N×h×w×C as floats N×C×h×w from 0 to 1."""
    return (places.float() / 255).permute(0, 3, 1, 2)


def by_places(weight: Tensor, places: int) -> Tensor:
    """Return the head's channels, which come by colour (``PixelShuffle``), by place: P×C×..."""
    return weight.reshape(-1, places, *weight.shape[1:]).transpose(0, 1)


def _of_places(weight: Tensor) -> Tensor:
    """Return the stem's weights O×C×s×s as those of a place's channels, O×(s·s·C)."""
    return weight.permute(0, 2, 3, 1).flatten(1)
