"""What the figures of the makers' commands share: the picture they show, and how they are kept."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamderain.errors import UsageError
from streamderain.readers.pictures import read_picture
from streamderain.readers.scene import SceneReader
from tools.files import write_whole

__all__ = ["check_suffix", "panel", "picture_and_truth", "save"]

Picture = NDArray[np.uint8]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SCENE_HEIGHT, SCENE_WIDTH, SCENE_SEED, SCENE_FRAME = 720, 1280, 1, 40


def picture_and_truth(rainy: Path | None, clean: Path | None) -> tuple[Picture, Picture | None]:
    """Return the picture to show and, if it is known, the truth, both uint8 H×W×3 RGB.

    Args:
        rainy: a picture file, or None for a frame of the drawn street in heavy rain.
        clean: the same scene without rain, or None.

    Raises:
        InputError: a file is missing, or no picture.
    """
    if rainy is not None:
        return read_picture(rainy)[0], read_picture(clean)[0] if clean is not None else None
    with SceneReader(
        height=SCENE_HEIGHT, width=SCENE_WIDTH, seed=SCENE_SEED, seconds=(SCENE_FRAME + 1) / 25
    ) as reader:
        *_, frame = reader
        return frame.pixels, reader.clean_frame(frame.index)


def check_suffix(target: Path) -> None:
    """Refuse what is no picture before any work is done.

    Raises:
        UsageError: the ending is none of :data:`SUFFIXES`.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{target} should end in one of {', '.join(SUFFIXES)}")


def panel(axes: Axes, picture: Any, title: str, **options: Any) -> Any:
    """Show a picture without ticks; return what matplotlib made of it."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=9)
    return axes.imshow(picture, **options)


def save(figure: Figure, target: Path) -> None:
    """Write the figure; what the ending says, WebP and JPEG at a quality that shows no blocks.

    Raises:
        UsageError: the ending is none of :data:`SUFFIXES`.
        OutputError: the target can't be written.
    """
    check_suffix(target)
    data = io.BytesIO()
    kind = target.suffix.removeprefix(".").lower()
    options = {"quality": 88} if kind in ("jpg", "jpeg", "webp") else {}
    figure.savefig(data, format=kind, dpi=110, pil_kwargs=options)
    write_whole(target, data.getvalue())
