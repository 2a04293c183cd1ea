"""Crops of what networks make of one picture, side by side: ``python -m tools.gallery MODEL...``.

The picture is a frame of the drawn street in heavy rain unless ``--picture`` names another; with
the truth at hand (``--clean``, or the street's own) each crop says its PSNR.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamderain import metrics
from streamderain.errors import InputError, UsageError
from streamderain.inference.create import BACKENDS, create_backend
from streamderain.inference.running import derain
from tools.ending import ends_in_a_sentence
from tools.figures import check_suffix, panel, picture_and_truth, save

__all__ = ["Crop", "draw", "main"]

Picture = NDArray[np.uint8]
Crop = tuple[int, int, int, int]
"""Left, top, width, height in pixels."""

SCENE_CROPS = ((330, 300, 320, 220), (780, 380, 320, 220))
COLUMNS = 4


def parse_crop(text: str) -> Crop:
    """Read ``WIDTHxHEIGHT+LEFT+TOP``.

    Raises:
        UsageError: it is no such thing.
    """
    match = re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", text)
    if match is None or "0" in match.groups()[:2]:
        raise UsageError(f"a crop is WIDTHxHEIGHT+LEFT+TOP in pixels, not {text!r}")
    width, height, left, top = map(int, match.groups())
    return left, top, width, height


def draw(shown: dict[str, Picture], truth: Picture | None, crops: list[Crop]) -> Figure:
    """Draw the crops of each picture, four of them a row, with PSNR on Y of the crop.

    Args:
        shown: uint8 H×W×3 by title.
        truth: the same scene without rain, or None.
        crops: inside the pictures.
    """
    rows = -(-len(shown) // COLUMNS)
    inches = sum(12 / COLUMNS * h / w + 0.3 for _, _, w, h in crops) * rows
    figure = Figure(figsize=(12, inches), layout="constrained")
    axes = figure.subplots(rows * len(crops), COLUMNS, squeeze=False)
    for number, (left, top, width, height) in enumerate(crops):
        window = slice(top, top + height), slice(left, left + width)
        for place, (title, picture) in enumerate(shown.items()):
            label = title
            if truth is not None and title != "truth":
                error = metrics.psnr(
                    metrics.luma(picture[window].copy()), metrics.luma(truth[window].copy())
                )
                label = f"{title}, {error:.2f} dB"
            row, column = divmod(place, COLUMNS)
            panel(axes[number * rows + row, column], picture[window], label)
    for place in axes.ravel():
        if not place.images:
            place.set_axis_off()
    return figure


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, derain, draw, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="shipped names, or paths")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture to write")
    parser.add_argument("--picture", type=Path, help="a rainy one (default: the drawn street)")
    parser.add_argument("--clean", type=Path, help="the same without rain")
    parser.add_argument("--crop", action="append", metavar="WxH+X+Y", help="may be given again")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    args = parser.parse_args(arguments)
    if args.clean is not None and args.picture is None:
        raise UsageError("--clean goes with --picture")
    check_suffix(args.output)
    rainy, truth = picture_and_truth(args.picture, args.clean)
    if truth is not None and truth.shape != rainy.shape:
        raise InputError(f"{args.picture} and {args.clean} differ in size")
    height, width = rainy.shape[:2]
    crops = [parse_crop(text) for text in args.crop or ()]
    crops = crops or (list(SCENE_CROPS) if args.picture is None else [(0, 0, width, height)])
    for left, top, w, h in crops:
        if left + w > width or top + h > height:
            raise UsageError(f"the crop {w}x{h}+{left}+{top} leaves {width}x{height}")
    shown = {"rainy": rainy}
    for model in args.models:
        with create_backend(model, args.device, args.backend) as backend:
            name = backend.name if backend.name not in shown else model
            shown[name] = derain(backend, [rainy])[0]
    if truth is not None:
        shown["truth"] = truth
    save(draw(shown, truth, crops), args.output)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
