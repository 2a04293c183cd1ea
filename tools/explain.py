"""Show what a network looks at: ``python -m tools.explain MODEL -o maps.jpg [--picture FILE]``.

The attention maps of its skip connections (multi-scale pixel attention) over the picture, one a
scale, beside the rain that it found. For ``attention-embedding`` the maps were trained towards the
mask of the rain; in our own networks they are free to say where the encoder's detail is wanted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from streamderain.errors import ModelError, UsageError
from streamderain.inference.pytorch import load_network
from streamderain.models import resolve_model
from streamderain.networks.blocks import MultiScalePixelAttention
from streamderain.networks.registry import Restorer
from tools.ending import ends_in_a_sentence
from tools.figures import check_suffix, panel, picture_and_truth, save

__all__ = ["attention_maps", "main"]

Picture = NDArray[np.uint8]
LIMIT = 2_000_000
"""Pixels of a picture: the maps are taken of it as a whole, without tiles."""


def attention_maps(
    network: nn.Module, picture: Picture
) -> tuple[Picture, list[NDArray[np.float32]]]:
    """Return the derained picture and the network's attention maps, the finest first.

    Args:
        network: float N×3×H×W in [0, 1] in and out, in evaluation mode.
        picture: uint8 H×W×3 RGB.

    Returns:
        uint8 H×W×3, and float32 maps in (0, 1) of the picture's size and its halves, as large as
        the network made them (with what it padded).

    Raises:
        ModelError: it has no pixel attention.
    """
    maps: list[NDArray[np.float32]] = []

    def keep(module: nn.Module, given: Any, score: Tensor) -> None:
        maps.append(torch.sigmoid(score)[0, 0].float().numpy())

    hooks = [
        module.score.register_forward_hook(keep)
        for module in network.modules()
        if isinstance(module, MultiScalePixelAttention)
    ]
    if not hooks:
        raise ModelError(
            "this network has no pixel attention; take attention-embedding, attention-s or "
            "attention-m"
        )
    try:
        with torch.inference_mode():
            rainy = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
            derained = (network(rainy)[0] * 255).round().clamp(0, 255).byte()
    finally:
        for hook in hooks:
            hook.remove()
    maps.sort(key=lambda found: -found.size)
    return derained.permute(1, 2, 0).numpy(), maps


def draw(
    title: str,
    picture: Picture,
    derained: Picture,
    maps: list[NDArray[np.float32]],
    multiple: int,
) -> Figure:
    """Draw the rainy picture, the derained one, the rain between them, and the maps over it.

    Args:
        title: of the figure.
        picture, derained: uint8 H×W×3 RGB.
        maps: from :func:`attention_maps`.
        multiple: sides that the network padded the picture to are multiples of it.
    """
    height, width = picture.shape[:2]
    tiles = [*range(3 + len(maps))]
    rows = -(-len(tiles) // 3)
    figure = Figure(figsize=(12, 12 * height / width / 3 * rows + 0.9), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = np.atleast_2d(figure.subplots(rows, 3)).ravel()
    panel(axes[0], picture, "rainy")
    panel(axes[1], derained, "derained")
    rain = picture.astype(np.int16) - derained
    panel(axes[2], np.clip(rain * 2, 0, 255).astype(np.uint8), "the rain it found, twice as bright")
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    for place, found in zip(axes[3:], maps, strict=False):
        scale = -(-height // multiple) * multiple // found.shape[0]
        large = cv2.resize(found, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
        place.imshow(grey, cmap="gray", vmin=0, vmax=510)
        part = large[:height, :width]
        name = "full size" if scale == 1 else f"1/{scale} size"
        low, high = float(part.min()), float(part.max())
        shown = panel(
            place, part, f"attention at {name}", cmap="inferno", alpha=0.75, vmin=low, vmax=high
        )
        figure.colorbar(shown, ax=place, shrink=0.8)
    for place in axes[len(tiles) :]:
        place.set_axis_off()
    return figure


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, draw, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="a shipped name, or the path of a .safetensors file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture to write")
    parser.add_argument("--picture", type=Path, help="a rainy one (default: the drawn street)")
    args = parser.parse_args(arguments)
    check_suffix(args.output)
    network = load_network(resolve_model(args.model))
    picture, _ = picture_and_truth(args.picture, None)
    if picture.shape[0] * picture.shape[1] > LIMIT:
        raise UsageError(f"{args.picture} has more than {LIMIT:,} pixels; cut or shrink it first")
    derained, maps = attention_maps(network, picture)
    title, multiple = f"Where {args.model} looks", cast(Restorer, network).multiple
    save(draw(title, picture, derained, maps, multiple), args.output)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
