"""What the past is worth, drawn: ``python -m tools.temporal_figures VIDEO PICTURE --data DIR``.

Two charts of PSNR on the clips of ``tools/evaluate_video.py``: by how many frames are remembered,
for cameras that stand; by how fast the camera pans. Beside the video network stands the network of
single pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from streamderain.frame import Pixels
from streamderain.inference.backend import Backend
from streamderain.inference.past import SPAN
from tools.clips import draw_clip, random_movers
from tools.ending import ends_in_a_sentence
from tools.evaluate import open_model
from tools.evaluate_video import FRAMES, RainyClip, judge, mean, rained_on, rainy_clips
from tools.figures import check_suffix, save
from tools.training.data import validation_sets

__all__ = ["draw", "main", "panning_clips"]

SPANS = (2, 3, 4, 5, 7, SPAN)
SPEEDS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Pixels a frame."""
VIEW = 0.5
"""Of a still's width and height, so that there is room to pan."""
DOWN = 0.25
"""Pixels down for each to the right."""


def panning_clips(stills: Sequence[Pixels], speed: float, seed: int) -> Iterable[RainyClip]:
    """Make a clip of each still, the camera panning at one speed.

    Args:
        stills: uint8 H×W×3 RGB.
        speed: pixels a frame, to the right, and a little down.
        seed: the same seed gives the same clips.
    """
    way = np.array([DOWN, 1.0]) / np.hypot(DOWN, 1.0)
    path = speed * np.arange(FRAMES)[:, None] * way
    for number, still in enumerate(stills):
        rng = np.random.default_rng([seed, number])
        size = int(still.shape[0] * VIEW), int(still.shape[1] * VIEW)
        others = [other for other in stills if other is not still]
        movers = random_movers(others, 1, size, FRAMES, rng)
        truth = draw_clip(still, path, movers, size)
        yield RainyClip("pan" if speed else "fixed", rained_on(truth, rng), truth)


def _psnr(backend: Backend, clips: Iterable[RainyClip], span: int = SPAN) -> float:
    return mean([judge(backend, clip, span=span) for clip in clips]).all


def draw(
    video: str, picture: str, by_span: Sequence[float], alone: float,
    by_speed: dict[str, Sequence[float]],
) -> Figure:  # fmt: skip
    """Draw both charts.

    Args:
        video, picture: names of the networks.
        by_span: PSNR in dB of the video network for each of :data:`SPANS`.
        alone: PSNR of the other on the same clips.
        by_speed: of both, for each of :data:`SPEEDS`.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left: Axes
    right: Axes
    left, right = figure.subplots(1, 2)
    left.plot(SPANS, by_span, marker="o", color="tab:blue", label=video)
    left.axhline(alone, color="tab:orange", linestyle="--", label=picture)
    left.set(
        title="cameras that stand", xlabel="frames remembered", ylabel="PSNR on Y, dB", xticks=SPANS
    )
    places = range(len(SPEEDS))
    for name, colour in ((video, "tab:blue"), (picture, "tab:orange")):
        style = "-" if name == video else "--"
        right.plot(places, by_speed[name], style, marker="o", color=colour, label=name)
    right.set(
        title="cameras that pan", xlabel="pixels a frame", ylabel="PSNR on Y, dB",
        xticks=list(places), xticklabels=[f"{speed:g}" for speed in SPEEDS],
    )  # fmt: skip
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, draw, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("video", help="the video network: name, .onnx or .pt")
    parser.add_argument("picture", help="the network of single pictures beside it")
    parser.add_argument("--data", type=Path, required=True, help="folder with rain100/")
    parser.add_argument("--scenes", type=int, default=9, help="how many of the nine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture to write")
    args = parser.parse_args(arguments)
    check_suffix(args.output)
    stills = [clean for _, clean in validation_sets(args.data)["dry"]][: args.scenes]
    by_speed: dict[str, Sequence[float]] = {}
    with open_model(args.video, "auto", "auto") as video:
        fixed = list(rainy_clips(stills, ["fixed"], args.seed))
        by_span = [_psnr(video, fixed, span) for span in SPANS]
        by_speed[video.name] = [
            _psnr(video, panning_clips(stills, speed, args.seed)) for speed in SPEEDS
        ]
        name = video.name
    with open_model(args.picture, "auto", "auto") as picture:
        alone = _psnr(picture, fixed)
        by_speed[picture.name] = [
            _psnr(picture, panning_clips(stills, speed, args.seed)) for speed in SPEEDS
        ]
        other = picture.name
    print(f"| frames remembered | {' | '.join(map(str, SPANS))} | {other} |")
    print(f"| --- |{' --- |' * (len(SPANS) + 1)}")
    print(f"| PSNR, dB | {' | '.join(f'{v:.2f}' for v in by_span)} | {alone:.2f} |")
    print(f"\n| pixels a frame | {' | '.join(f'{speed:g}' for speed in SPEEDS)} |")
    print(f"| --- |{' --- |' * len(SPEEDS)}")
    for model, values in by_speed.items():
        print(f"| {model} | {' | '.join(f'{v:.2f}' for v in values)} |")
    save(draw(name, other, by_span, alone, by_speed), args.output)
    print(f"\n{args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
