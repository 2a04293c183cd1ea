"""Network F, *ours*: attention deraining of video, with what the past frames say of the scene.

The network of one picture (``attention.py``) that sees two pictures more: the temporal prior, which
is the scene behind the rain as the camera's last frames know it, and its reliability
(``streamderain/inference/prior.py``). It finds the rain R̂ of the frame and a trust α:

    B̂ = α·b + (1 − α)·(O − R̂), α = ρ·σ(·)

so that where the past knows nothing (ρ = 0) the result is the single picture's, whatever α's layers
have learnt.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from streamderain.networks.attention import CONFIGS as PICTURE_CONFIGS
from streamderain.networks.attention import AttentionConfig, AttentionDerain

__all__ = ["CONFIGS", "VideoDerain", "build", "from_picture_weights"]

CONFIGS: dict[str, AttentionConfig] = {
    "video-xxs": AttentionConfig(
        stride=4, widths=(32, 64), encoder=(0, 4), decoder=(1,), attention=(0,), unweighted=1
    ),
    "video-xs": AttentionConfig(
        stride=4, widths=(32, 64), encoder=(1, 4), decoder=(1,), attention=(8,)
    ),
    "video-xs-wide": PICTURE_CONFIGS["attention-xs"],
    "video-s": PICTURE_CONFIGS["attention-s"],
    "video-m": replace(PICTURE_CONFIGS["attention-m"], attention=(12, 16)),
}
"""The pictures' networks; in the largest one, a narrower first attention pays for the inputs.

The smallest one begins at a quarter of the resolution: where nothing moves it loses little by
that, and it is real time at 720p on two cores in 8 bits. It is cut out of ``video-xs-wide``, which
doesn't ship."""

PRIOR_CHANNELS = 4
"""The prior's RGB and its reliability, after the frame's RGB."""


class VideoDerain(AttentionDerain):
    """Take the rain out of a frame by its past: ``forward(frames) -> derained``.

    Float N×7×H×W in [0, 1], any H and W: the frame's RGB, the prior's RGB, the reliability. Out
    comes N×3×H×W. Without a past, the reliability is 0 and the prior is the frame.

    For 96×96 and ``video-m``: stem 32×48², levels 64×24² and 128×12², head 4×96².
    """

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__(config)
        self.inputs = 3 + PRIOR_CHANNELS
        width, stride = config.widths[0], config.stride
        self.stem = nn.Conv2d(3 + PRIOR_CHANNELS, width, stride, stride=stride)
        self.head = nn.Sequential(
            nn.Conv2d(width, 4 * stride**2, 3, padding=1), nn.PixelShuffle(stride)
        )

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain frames whose sides are multiples of :attr:`multiple`."""
        frame, prior, reliability = rainy[:, :3], rainy[:, 3:6], rainy[:, 6:]
        found = self.rain(rainy)
        alone = frame - found[:, :3]
        trust = reliability * torch.sigmoid(found[:, 3:])
        derained: Tensor = alone + trust * (prior - alone)
        return derained


def from_picture_weights(weights: dict[str, Tensor], config: AttentionConfig) -> dict[str, Tensor]:
    """Return weights that do what the picture's network does, and trust the past a little.

    Args:
        weights: of an :class:`~streamderain.networks.attention.AttentionDerain` whose channels
            are those of ``config`` already.
        config: of the video network.
    """
    result = dict(weights)
    stem = weights["stem.weight"]
    more = stem.new_zeros(stem.shape[0], PRIOR_CHANNELS, *stem.shape[2:])
    result["stem.weight"] = torch.cat([stem, more], dim=1)
    # PixelShuffle takes the channels of one output one after the other.
    for key, value in (("head.0.weight", 0.0), ("head.0.bias", 0.5)):
        rain = weights[key]
        trust = rain.new_full((config.stride**2, *rain.shape[1:]), value)
        result[key] = torch.cat([rain, trust])
    return result


def build(name: str) -> VideoDerain:
    """Return the network of that name, freshly initialised.

    Raises:
        KeyError: no such size; :data:`CONFIGS` lists them.
    """
    return VideoDerain(CONFIGS[name])
