"""What a writer shows of a frame: derained, as it came, or half and half."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from streamderain.frame import Frame, Pixels

__all__ = ["original", "split", "split_pixels"]


def original(frame: Frame) -> Frame:
    """Return the frame as it was before deraining."""
    if frame.original is None:
        return frame
    return replace(frame, pixels=frame.original)


def split(frame: Frame) -> Frame:
    """Return the frame half as it came (left) and half derained (right), with a divider."""
    if frame.original is None:
        return frame
    return replace(frame, pixels=split_pixels(frame.original, frame.pixels))


def split_pixels(before: Pixels, after: Pixels) -> Pixels:
    """Join the left half of one picture and the right half of another, uint8 H×W×3 each.

    A white divider with a dark edge stands between them; where there is room the halves are
    labelled. Raises ValueError where the shapes differ.
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
        _label(joined, "rain", right=middle - 3 * line, align_right=True)
        _label(joined, "derained", right=middle + 3 * line, align_right=False)
    return joined


def _label(picture: Pixels, text: str, right: int, *, align_right: bool) -> None:
    height = picture.shape[0]
    scale = max(0.35, height / 720)
    thickness = max(1, round(scale * 1.6))
    font = cv2.FONT_HERSHEY_SIMPLEX
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, thickness)
    pad = max(3, round(6 * scale))
    x = right - text_width - pad if align_right else right + pad
    y = pad + text_height
    if x < 0 or x + text_width > picture.shape[1]:
        return
    box = picture[0 : y + pad, max(0, x - pad) : x + text_width + pad]
    box[:] = (box.astype(np.uint16) * 2 // 5).astype(np.uint8)
    cv2.putText(picture, text, (x, y), font, scale, (255, 255, 255), thickness, cv2.LINE_AA)
