"""Morphology of grey pictures with straight lines, by operations that export; N×1×H×W."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["DIRECTIONS", "opening", "top_hats"]

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Rows and columns a step: across, down, and the two diagonals."""


def _along(picture: Tensor, length: int, direction: tuple[int, int]) -> Tensor:
    """Return the largest value along a line through each pixel (dilation)."""
    half = length // 2
    if 0 in direction:
        kernel = (length, 1) if direction[0] else (1, length)
        return F.max_pool2d(picture, kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2))
    height, width = picture.shape[-2:]
    padded = F.pad(picture, (half, half, half, half), value=-torch.inf)
    found = padded[..., half : half + height, half : half + width]
    for step in range(-half, half + 1):
        top, left = half + step * direction[0], half + step * direction[1]
        found = torch.maximum(found, padded[..., top : top + height, left : left + width])
    return found


def opening(picture: Tensor, length: int, direction: tuple[int, int]) -> Tensor:
    """Remove what is bright and shorter than a line in its direction: dilation of the erosion.

    Args:
        picture: N×1×H×W.
        length: of the line in pixels, odd.
        direction: one of :data:`DIRECTIONS`.
    """
    eroded = -_along(-picture, length, direction)
    return _along(eroded, length, direction)


def top_hats(picture: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Return what openings remove (white top-hats), one channel a length and direction.

    A bright streak is removed by every line that crosses it, and by those along it that are
    longer. N×1×H×W in, N×(4·lengths)×H×W out.
    """
    hats = [
        picture - opening(picture, length, direction)
        for length in lengths
        for direction in DIRECTIONS
    ]
    return torch.cat(hats, dim=1)
