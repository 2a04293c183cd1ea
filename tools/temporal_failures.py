"""Where the past does harm: ``python -m tools.temporal_failures VIDEO PICTURE -o FILE``.

Of some clips of the drawn street, or with ``--data`` of those of ``tools/evaluate_video.py``, draws
the frames on whose moving things the video network falls furthest behind the network of single
pictures: as they came, by both, and the truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamderain import metrics
from streamderain.errors import InputError
from streamderain.frame import Pixels
from streamderain.inference.backend import Backend
from streamderain.inference.past import TemporalPrior
from streamderain.inference.prior import Prior
from streamderain.inference.running import derain
from streamderain.readers.scene import SceneReader
from tools.clips import MOTIONS, Clip
from tools.ending import ends_in_a_sentence
from tools.evaluate import open_model
from tools.evaluate_video import FRAMES, SETTLED, RainyClip, rainy_clips
from tools.figures import check_suffix, panel, save
from tools.training.data import validation_sets

__all__ = ["Failure", "main", "street_clips", "worst_of"]

MOVED = 12
"""Levels by which a place differs from the street behind it, where something moves."""
WINDOW = 120, 170
"""Height and width of what is shown, in pixels."""
SMALLEST = 200
"""Pixels that move: with fewer, a figure says little."""


@dataclass(frozen=True)
class Failure:
    """A frame, cut to what moves in it.

    Attributes:
        motion: of the camera.
        behind: by how many dB of PSNR on Y the video network is behind, on what moves.
        shown: uint8 H×W×3 by title.
    """

    motion: str
    behind: float
    shown: dict[str, Pixels]


def street_clips(count: int, seed: int) -> Iterator[RainyClip]:
    """Draw the street in heavy rain, each time with other people and cars.

    Args:
        count: of clips.
        seed: the same seed gives the same clips.
    """
    for number in range(count):
        with SceneReader(height=360, width=640, seed=seed + number, seconds=FRAMES / 25) as reader:
            rainy = [frame.pixels for frame in reader]
            clean = [reader.clean_frame(index) for index in range(len(rainy))]
        lumas = np.stack([metrics.luma(frame) for frame in clean])
        background = np.median(lumas, axis=0)
        moving = [np.abs(luma - background) > MOVED for luma in lumas]
        yield RainyClip("fixed", rainy, Clip(clean, moving))


def worst_of(clip: RainyClip, video: Backend, picture: Backend) -> Failure | None:
    """Return the frame of a clip on which the past harms most; None where nothing moves."""
    past, worst = TemporalPrior(), None
    for index, frame in enumerate(clip.rainy):
        prior = past.step(frame)
        moving = clip.truth.moving[index]
        if index < SETTLED or moving.sum() < SMALLEST:
            continue
        truth = clip.truth.frames[index]
        by_video, alone = _one(video, frame, prior), _one(picture, frame, None)
        errors = [np.where(moving, _error(found, truth), 0) for found in (by_video, alone)]
        behind = float(10 * np.log10((errors[0].sum() + 1e-3) / (errors[1].sum() + 1e-3)))
        if worst is None or behind > worst.behind:
            cut = _window(errors[0] - errors[1])
            shown = {
                "as it came": frame, video.name: by_video, picture.name: alone, "truth": truth,
            }  # fmt: skip
            worst = Failure(
                clip.motion, behind, {title: pixels[cut] for title, pixels in shown.items()}
            )
    return worst


def _one(backend: Backend, frame: Pixels, prior: Prior | None) -> Pixels:
    return np.asarray(derain(backend, [frame], [prior])[0], np.uint8)


def _error(found: Pixels, truth: Pixels) -> NDArray[np.float64]:
    difference = metrics.luma(found) - metrics.luma(truth)
    return np.asarray(difference**2, np.float64)


def _window(harm: NDArray[np.float64]) -> tuple[slice, slice]:
    """Return where to look: around the place with most harm."""
    height, width = (min(side, whole) for side, whole in zip(WINDOW, harm.shape, strict=True))
    near = cv2.boxFilter(harm, -1, (width // 4, height // 4), borderType=cv2.BORDER_REPLICATE)
    y, x = np.unravel_index(int(near.argmax()), harm.shape)
    top = min(max(0, int(y) - height // 2), harm.shape[0] - height)
    left = min(max(0, int(x) - width // 2), harm.shape[1] - width)
    return slice(top, top + height), slice(left, left + width)


def draw(failures: list[Failure]) -> Figure:
    """Draw a row for each."""
    heights = [12 / 4 * f.shown["truth"].shape[0] / f.shown["truth"].shape[1] for f in failures]
    figure = Figure(figsize=(12, sum(heights) + 0.4 * len(failures)), layout="constrained")
    axes = figure.subplots(len(failures), 4, squeeze=False, height_ratios=heights)
    for row, failure in zip(axes, failures, strict=True):
        for place, (title, pixels) in zip(row, failure.shown.items(), strict=True):
            panel(place, pixels, title)
        row[1].set_title(f"{row[1].get_title()}, {failure.behind:.1f} dB behind", fontsize=9)
        row[0].set_title(f"{row[0].get_title()}, camera: {failure.motion}", fontsize=9)
    return figure


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, search, draw, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("video", help="the video network: name, .onnx or .pt")
    parser.add_argument("picture", help="the network of single pictures beside it")
    parser.add_argument(
        "--data", type=Path, help="folder with rain100/ (default: the drawn street)"
    )
    parser.add_argument("--count", type=int, default=3, help="how many to show")
    parser.add_argument("--scenes", type=int, default=9, help="how many clips, of each motion")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the picture to write")
    args = parser.parse_args(arguments)
    check_suffix(args.output)
    if args.data is None:
        clips = street_clips(args.scenes, args.seed)
    else:
        stills = [clean for _, clean in validation_sets(args.data)["dry"]][: args.scenes]
        clips = rainy_clips(stills, MOTIONS, args.seed)
    with (
        open_model(args.video, "auto", "auto") as video,
        open_model(args.picture, "auto", "auto") as picture,
    ):
        found = [worst_of(clip, video, picture) for clip in clips]
    failures = sorted(
        (failure for failure in found if failure is not None), key=lambda f: -f.behind
    )
    ahead = sum(failure.behind <= 0 for failure in failures)
    print(f"{len(failures)} clips; even their worst frames are ahead in {ahead}")
    if not failures:
        raise InputError("nothing moves in these clips; take more of them, or another --seed")
    save(draw(failures[: args.count]), args.output)
    print(args.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
