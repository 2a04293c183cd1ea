"""What a writer shows of a frame: derained, as it came, or half and half."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from streamderain.frame import Frame, Pixels

__all__ = ["original", "split", "split_pixels"]

AS_IT_CAME, DERAINED, UNCHANGED = "as it came", "derained", "unchanged"
"""Labels of the halves; what came in may be rainy or dry."""


def original(frame: Frame) -> Frame:
    """Return the frame as it was before deraining."""
    if frame.original is None:
        return frame
    return replace(frame, picture=frame.original)


def split(frame: Frame) -> Frame:
    """Return the frame half as it came (left) and half derained (right), with a divider.

    Where the network left the frame alone, the right half says so, and why.
    """
    if frame.original is None:
        return frame
    return replace(frame, picture=split_pixels(frame.original, frame.pixels, _right_label(frame)))


def split_pixels(before: Pixels, after: Pixels, label: str = DERAINED) -> Pixels:
    """Join the left half of one picture and the right half of another.

    A white divider with a dark edge stands between them; where there is room the halves are
    labelled.

    Args:
        before, after: uint8 H×W×3 each.
        label: what the right half is.

    Returns:
        uint8 H×W×3, a new array.

    Raises:
        ValueError: the shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"pictures differ in shape: {before.shape} and {after.shape}")
    height, width = after.shape[:2]
    middle = width // 2
    joined = after.copy()
    joined[:, :middle] = before[:, :middle]
    line = max(1, round(width / 320))
    joined[:, max(0, middle - 2 * line) : middle + 2 * line] //= 2
    joined[:, max(0, middle - line // 2) : middle + (line + 1) // 2] = 255
    if width >= 160 and height >= 90:
        _label(joined, AS_IT_CAME, right=middle - 3 * line, align_right=True)
        _label(joined, label, right=middle + 3 * line, align_right=False)
    return joined


def _right_label(frame: Frame) -> str:
    """Return what is true of the right half; the reasons are those of the report."""
    if frame.derained:
        return DERAINED
    return UNCHANGED if frame.bypass is None else f"{UNCHANGED}: {frame.bypass}"


def _label(picture: Pixels, text: str, right: int, *, align_right: bool) -> None:
    """Write ``text`` at the top; without its reason, or not at all, where there is no room."""
    height, width = picture.shape[:2]
    scale = max(0.35, min(height / 720, width / 1280))
    thickness = max(1, round(scale * 1.6))
    font = cv2.FONT_HERSHEY_SIMPLEX
    pad = max(3, round(6 * scale))
    for shown in (text, text.partition(":")[0]):
        (text_width, text_height), _ = cv2.getTextSize(shown, font, scale, thickness)
        x = right - text_width - pad if align_right else right + pad
        if x >= 0 and x + text_width <= width:
            break
    else:
        return
    y = pad + text_height
    box = picture[0 : y + pad, max(0, x - pad) : x + text_width + pad]
    box[:] = (box.astype(np.uint16) * 2 // 5).astype(np.uint8)
    cv2.putText(picture, shown, (x, y), font, scale, (255, 255, 255), thickness, cv2.LINE_AA)
