"""What tests of training share: a small data folder, and PyTorch without threads to wait for."""

from contextlib import contextmanager

import cv2
import numpy as np
import torch

from tests.clips import picture
from tools.training.data import VALIDATION_IDS


def write_rain100(root, height, width):
    """Write four scenes to train on and the validation scenes, with a little rain in their rainy
    pictures."""
    rng = np.random.default_rng(0)
    for index in (1, 2, 3, 4, *VALIDATION_IDS):
        clean = picture(height, width, index) // 2 + 40
        streaks = cv2.blur((rng.random(clean.shape[:2]) > 0.99).astype(np.float32), (1, 9)) * 900
        rainy = np.clip(clean + streaks[..., None], 0, 255).astype(np.uint8)
        for kind, pixels in (("clean", clean), ("light", rainy), ("heavy", rainy)):
            path = root / "rain100" / kind / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), pixels)


@contextmanager
def one_torch_thread():
    """Small networks lose more by waiting for threads than they win."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
