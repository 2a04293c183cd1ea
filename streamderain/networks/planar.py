"""The attention networks on pictures as codecs hold them: YCbCr in 4:2:0, nothing converted.

Between decoder and encoder nobody but the network needs RGB, and what leads to it and back is
linear: a matrix makes RGB of Y, Cb and Cr, the chroma of 2×2 pixels is repeated on the way in and
averaged on the way out (``streamderain/conversion.py``). The stem and the head are linear too. So
the matrix goes into the stem's weights, and its inverse into the head's: the same network, without
being trained again, on half as many bytes.

Three things differ from the way over RGB: what is outside of RGB's range isn't clipped, sums are
rounded once instead of three times, and the trust of 2×2 pixels is averaged before it weighs their
chroma, not after. On average that is 0.2 levels of luma and 0.05 of chroma.

The weights are those of BT.709 in limited range. Other matrices differ in how much colour their
chroma means, and a full range in contrast, by a sixth: the network sees a more or less colourful
picture, and what it gives back is meant as what it got. Of heavy rain on the drawn street it takes
as much off, within 0.14 dB, with BT.601 and BT.2020 and in either range.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from streamderain.networks.attention import AttentionDerain
from streamderain.networks.packed import Ends, PlacesGraph, by_places
from streamderain.networks.video import VideoDerain

__all__ = ["PlanarGraph"]

RED, BLUE = 0.2126, 0.0722
"""Shares of luma of BT.709."""
SCALE = (255 / 219, 255 / 224, 255 / 224)
"""What a byte of Y, Cb and Cr counts, for a byte of RGB."""
ZERO = (16 / 255, 128 / 255, 128 / 255)
"""The bytes that count nothing."""


def to_rgb() -> Tensor:
    """Return the matrix that makes RGB of Y, Cb and Cr less :data:`ZERO`, all in bytes: 3×3."""
    green = 1 - RED - BLUE
    red_of, blue_of = 2 * (1 - RED), 2 * (1 - BLUE)
    matrix = torch.tensor(
        [
            [1.0, 0.0, red_of],
            [1.0, -blue_of * BLUE / green, -red_of * RED / green],
            [1.0, blue_of, 0.0],
        ]
    )
    return matrix * torch.tensor(SCALE)


class PlanarGraph(PlacesGraph):
    """A network of the attention family on places of planes: uint8 N×h×w×C in and out.

    A place of s×s pixels has s² bytes of luma, row by row, then s²/4 of Cb and as many of Cr. What
    goes in is the frame's places, and for video the prior's and the reliability's, which has a byte
    a pixel; what comes out is the derained frame's.

    Args:
        network: whose weights are taken; it isn't changed.
    """

    def __init__(self, network: AttentionDerain) -> None:
        side = network.config.stride
        stem, head = network.stem, network.head[0]
        assert isinstance(head, nn.Conv2d) and head.bias is not None and stem.bias is not None
        weight, bias = by_places(head.weight, side**2), by_places(head.bias, side**2)
        parts, shift, trust = [_of_planes(stem.weight[:, :3])], _black(stem.weight[:, :3]), None
        if isinstance(network, VideoDerain):
            parts += [_of_planes(stem.weight[:, 3:6]), stem.weight[:, 6:].flatten(1)]
            shift = shift + _black(stem.weight[:, 3:6])
            means = _means(side)
            spread = torch.cat([torch.eye(side**2), means, means])[..., None, None]
            trust = weight[:, 3:].flatten(0, 1), bias[:, 3:].flatten(), spread
        super().__init__(
            network,
            Ends(
                stem=(torch.cat(parts, dim=1)[..., None, None], stem.bias + shift),
                rain=(_in_planes(weight[:, :3], side), _in_planes(bias[:, :3], side)),
                trust=trust,
            ),
        )

    def forward(self, *places: Tensor) -> Tensor:
        """Return the derained places."""
        return self.of_places(*places)


def _of_planes(weight: Tensor) -> Tensor:
    """Return the stem's weights of RGB, O×3×s×s, as those of a place's bytes, O×(6s²/4)."""
    outputs, _, side, _ = weight.shape
    luma, *chroma = torch.einsum("ocij,ck->koij", weight, to_rgb())
    halves = [
        part.reshape(outputs, side // 2, 2, side // 2, 2).sum((2, 4)).flatten(1) for part in chroma
    ]
    return torch.cat([luma.flatten(1), *halves], dim=1)


def _black(weight: Tensor) -> Tensor:
    """Return what the stem's weights of RGB make of bytes of 0, O: those don't count nothing."""
    return -(weight.sum((2, 3)) @ (to_rgb() @ torch.tensor(ZERO)))


def _in_planes(weight: Tensor, side: int) -> Tensor:
    """Return the head's weights of RGB, P×3×..., as those of a place's bytes, (6P/4)×...."""
    luma, *chroma = torch.einsum("pc...,kc->kp...", weight, torch.linalg.inv(to_rgb()))
    means = _means(side)
    return torch.cat([luma, *(torch.einsum("qp,p...->q...", means, part) for part in chroma)])


def _means(side: int) -> Tensor:
    """Return what averages a place's 2×2 pixels, (P/4)×P."""
    pixels = torch.eye(side**2).reshape(side // 2, 2, side // 2, 2, side**2)
    return pixels.mean((1, 3)).flatten(0, 1)
