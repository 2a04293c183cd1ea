"""Picture quality against a ground truth: PSNR and SSIM, as the deraining literature reports them.

On the Y channel of BT.601 YCbCr in its 16-235 scale, SSIM with an 11×11 Gaussian window of
sigma 1.5, on 8-bit pictures. This reproduces published figures (PReNet on Rain100L and Rain100H).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Plane = NDArray[np.float64]

__all__ = ["SSIM_WINDOW", "luma", "psnr", "ssim"]

SSIM_WINDOW = 11
"""Side of SSIM's Gaussian window in pixels, and of the smallest picture that has an SSIM."""


def luma(picture: Picture) -> Plane:
    """Return Y of BT.601, 16 to 235, as float64 H×W, from uint8 H×W×3 RGB."""
    weights = np.array([65.481, 128.553, 24.966]) / 255.0
    result: Plane = picture.astype(np.float64) @ weights + 16.0
    return result


def _same_shape(a: NDArray[np.generic], b: NDArray[np.generic]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures differ in shape: {a.shape} and {b.shape}")


def psnr(a: Picture | Plane, b: Picture | Plane) -> float:
    """Return the peak signal-to-noise ratio in dB, peak 255; ``inf`` where they are equal.

    Any two arrays of one shape: RGB pictures, or planes from :func:`luma`.

    Raises:
        ValueError: the shapes differ.
    """
    _same_shape(a, b)
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return float("inf") if error == 0 else float(10.0 * np.log10(255.0**2 / error))


def ssim(a: Picture | Plane, b: Picture | Plane) -> float:
    """Return the structural similarity, at most 1 (Wang et al., IEEE TIP 2004).

    Where the arrays have channels, the mean over them. Borders narrower than the window are left
    out, as in the authors' code.

    Raises:
        ValueError: the shapes differ, or a side is shorter than the window's 11 pixels.
    """
    _same_shape(a, b)
    if min(a.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs pictures of at least 11x11 pixels, not {a.shape[:2]}")
    if a.ndim == 3:
        planes = [
            ssim(a[..., c].astype(np.float64), b[..., c].astype(np.float64))
            for c in range(a.shape[2])
        ]
        return float(np.mean(planes))
    x, y = a.astype(np.float64), b.astype(np.float64)
    border = SSIM_WINDOW // 2

    def smooth(plane: Plane) -> Plane:
        blurred = cv2.GaussianBlur(plane, (SSIM_WINDOW, SSIM_WINDOW), 1.5)
        return np.asarray(blurred, np.float64)[border:-border, border:-border]

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = smooth(x), smooth(y)
    vx, vy = smooth(x * x) - mx * mx, smooth(y * y) - my * my
    cov = smooth(x * y) - mx * my
    score = ((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return float(score.mean())
