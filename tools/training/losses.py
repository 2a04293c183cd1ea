"""Losses of the training recipes; float N×3×H×W in [0, 1] in, a scalar out.

They are computed in 32 bits wherever the network ran in fewer: SSIM takes small differences of
large products, of which bfloat16 leaves nothing.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


def exactly(x: Tensor) -> torch.autocast:
    """Return the context in which nothing on the tensor's device is computed in fewer bits."""
    return torch.autocast(x.device.type, enabled=False)


_LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)


def luma(x: Tensor) -> Tensor:
    """Return Y of BT.601 without its offset, N×1×H×W."""
    weights = x.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (x * weights).sum(dim=1, keepdim=True)


@cache
def _gaussian(size: int, window: int, sigma: float) -> Tensor:
    """Return the (size − window + 1)×size matrix that filters a line with a Gaussian, unpadded."""
    taps = torch.arange(window) - window // 2
    kernel = torch.exp(-(taps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    matrix = torch.zeros(size - window + 1, size)
    for row in range(size - window + 1):
        matrix[row, row : row + window] = kernel
    return matrix


def ssim(x: Tensor, y: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Return the mean structural similarity (Wang et al., 2004) of two N×1×H×W batches."""
    with exactly(x):
        return _ssim(x.float(), y.float(), window, sigma)


def _ssim(x: Tensor, y: Tensor, window: int, sigma: float) -> Tensor:
    n = x.shape[0]
    stacked = torch.cat([x, y, x * x, y * y, x * y])
    # As two matrix products: many times faster on a CPU than a convolution of one channel.
    rows = _gaussian(x.shape[-2], window, sigma).to(x)
    columns = _gaussian(x.shape[-1], window, sigma).to(x)
    smooth = rows @ stacked @ columns.T
    mx, my, xx, yy, xy = (smooth[start : start + n] for start in range(0, 5 * n, n))
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    bottom = (mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2)
    return torch.mean(top / bottom)


def log_mse(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean over pictures of ln(MSE of Y): falling by 1 is 4.34 dB of PSNR.

    It optimises the mean PSNR itself, as HINet and NAFNet do; the floor (50 dB) keeps dry
    pictures from taking all of the gradient.
    """
    error = ((luma(x) - luma(y)) ** 2).mean(dim=(1, 2, 3))
    return torch.log(error + 1e-5).mean()


def restoration_loss(
    derained: Tensor, clean: Tensor, ssim_weight: float, log_mse_weight: float
) -> Tensor:
    """Return L1 + ssim_weight·(1 − SSIM of Y) + log_mse_weight·ln MSE of Y."""
    loss = F.l1_loss(derained, clean)
    if ssim_weight:
        loss = loss + ssim_weight * (1 - ssim(luma(derained), luma(clean)))
    if log_mse_weight:
        loss = loss + log_mse_weight * log_mse(derained, clean)
    return loss


def fidelity(derained: Tensor, clean: Tensor, log_mse_weight: float) -> Tensor:
    """Return L1 + log_mse_weight·ln MSE of Y, or 0 where the weight is 0.

    What the fast recipes put beside a published loss.
    """
    if not log_mse_weight:
        return derained.new_zeros(())
    return restoration_loss(derained, clean, 0.0, log_mse_weight)


def mask_entropy(mask: Tensor, truth: Tensor) -> Tensor:
    """Return the binary cross-entropy of a mask in [0, 1], kept away from 0 and 1."""
    with exactly(mask):
        return F.binary_cross_entropy(mask.float().clamp(1e-4, 1 - 1e-4), truth.float())


RAIN_THRESHOLD = 0.04
"""*Ours*: by how much rain brightens a pixel, of 1, for the mask to call it rainy: 10 of 255."""


def rain_mask(rainy: Tensor, clean: Tensor) -> Tensor:
    """Return where it rains, N×1×H×W of 0 and 1: the largest of R, G and B is brighter.

    *Ours*: the papers' own thresholds are not public.
    """
    return ((rainy - clean).amax(dim=1, keepdim=True) > RAIN_THRESHOLD).float()


def colour_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean structural similarity over R, G and B of two N×3×H×W batches."""
    return ssim(x.flatten(0, 1).unsqueeze(1), y.flatten(0, 1).unsqueeze(1))


def charbonnier(x: Tensor, y: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of √((x − y)² + ε²): L1 that is smooth at 0 (Charbonnier et al., 1994)."""
    return torch.sqrt((x - y) ** 2 + epsilon**2).mean()
