"""The attention networks as they are quantised: all of it at their own resolution.

Written down plainly (``uint8.py``), half of a small quantised network's time goes into its ends:
planes out of pixels, a shuffle back, and the residual on three planes of the full size. Here the
stem's s×s pixels become the channels of one place at once, in the order in which they lie in
memory, and the stem is a 1×1 convolution; the head gives its channels in the same order, so the
residual is computed at the network's own resolution and goes back into pixels as bytes. The
results are the same to the bit.

What was measured (``video-xs-wide``, 720p, OpenVINO 2026.4, two x86 cores): in 8 bits 49.6 ms where
the plain graph takes 54.4, its head left in float; in floats 130 where the plain graph takes 114,
which is why those are exported plainly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamderain.networks.attention import AttentionDerain
from streamderain.networks.uint8 import padded
from streamderain.networks.video import VideoDerain

__all__ = ["PackedGraph"]


class PackedGraph(nn.Module):
    """A network of the attention family, uint8 N×H×W×C in, N×H×W×3 out, every size free.

    Args:
        network: whose weights are taken; it isn't changed.
    """

    def __init__(self, network: AttentionDerain) -> None:
        super().__init__()
        self.network = network
        self.side = side = network.config.stride
        self.video = isinstance(network, VideoDerain)
        places = side**2
        stem, head = network.stem, network.head[0]
        assert isinstance(head, nn.Conv2d) and head.bias is not None
        self.stem = nn.Conv2d(network.inputs * places, stem.out_channels, 1)
        # A split of what one convolution gives would be slower than convolutions of their own.
        self.rain = nn.Conv2d(head.in_channels, 3 * places, 3, padding=1)
        weight, bias = _by_places(head.weight, places), _by_places(head.bias, places)
        filled = [
            (self.stem.weight, stem.weight.permute(0, 2, 3, 1).flatten(1)[..., None, None]),
            (self.stem.bias, stem.bias),
            (self.rain.weight, weight[:, :3].flatten(0, 1)),
            (self.rain.bias, bias[:, :3].flatten()),
        ]
        if self.video:
            self.trust = nn.Conv2d(head.in_channels, places, 3, padding=1)
            packed = network.inputs * places
            self.frame = nn.Conv2d(packed, 3 * places, 1, bias=False)
            self.difference = nn.Conv2d(packed, 3 * places, 1, bias=False)
            self.reliability = nn.Conv2d(packed, places, 1, bias=False)
            self.colours = nn.Conv2d(places, 3 * places, 1, bias=False)
            each = torch.eye(places)
            filled += [
                (self.trust.weight, weight[:, 3:].flatten(0, 1)),
                (self.trust.bias, bias[:, 3:].flatten()),
                (self.frame.weight, _picks(each, 0)),
                (self.difference.weight, _picks(each, 3) - _picks(each, 0)),
                (self.reliability.weight, _picks(each, 6, 1)),
                (self.colours.weight, each.repeat_interleave(3, dim=0)[..., None, None]),
            ]
        with torch.no_grad():
            for into, values in filled:
                assert into is not None and values is not None
                into.copy_(values)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the derained frames."""
        height, width, side = frames.shape[1], frames.shape[2], self.side
        pixels = padded(frames, self.network.multiple)
        count, rows, columns, channels = pixels.shape
        blocks = pixels.reshape(count, rows // side, side, columns // side, side * channels)
        places = blocks.transpose(2, 3).flatten(3).permute(0, 3, 1, 2)
        x = places.float() / 255
        found = self.network.body(self.stem(x))
        rain = self.rain(found)
        if self.video:
            frame, difference = self.frame(x), self.difference(x)
            trust = self.reliability(x) * torch.sigmoid(self.trust(found))
            derained = frame - rain + self.colours(trust) * (difference + rain)
        else:
            derained = x - rain
        levels = (derained * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        blocks = levels.reshape(count, rows // side, columns // side, side, side * 3)
        pixels = blocks.transpose(2, 3).reshape(count, rows, columns, 3)
        derained8: Tensor = pixels[:, :height, :width]
        return derained8


def _by_places(weight: Tensor, places: int) -> Tensor:
    """Return the head's channels, which come by colour (``PixelShuffle``), by place: P×C×..."""
    return weight.reshape(-1, places, *weight.shape[1:]).transpose(0, 1)


def _picks(each: Tensor, first: int, count: int = 3) -> Tensor:
    """Return the 1×1 weights that pick some of every place's seven channels."""
    places = len(each)
    picked = torch.zeros(places, count, places, 7)
    for channel in range(count):
        picked[:, channel, :, first + channel] = each
    return picked.reshape(places * count, places * 7, 1, 1)
