"""Networks judged on clips: what moves apart, flicker, the past."""

import numpy as np
import pytest

from streamderain.inference.backend import NullBackend
from tests.clips import picture
from tools.evaluate_video import SETTLED, ClipScores, judge, rainy_clips, table


class Known(NullBackend):
    """A network that knows the truth, but for what it was told to get wrong."""

    def __init__(self, clip, wrong=lambda index: 0):
        super().__init__()
        self.clip, self.wrong, self.index = clip, wrong, SETTLED

    def run(self, frames):
        found = self.clip.truth.frames[self.index][None].astype(int) + self.wrong(self.index)
        self.index += 1
        return np.clip(found, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def clip():
    stills = [picture(150, 200, index) // 2 + 40 for index in range(3)]
    return next(rainy_clips(stills[:2], ["fixed"], seed=3))


def test_the_truth_is_perfect_and_still(clip):
    scores = judge(Known(clip), clip)
    assert min(scores.all, scores.moving, scores.still) > 100
    assert scores.flicker < 0.05  # of soft edges of what moves


def test_what_moves_is_judged_apart(clip):
    def wrong(index):
        return 20 * clip.truth.moving[index][..., None]

    scores = judge(Known(clip, wrong), clip)
    assert scores.still > 100
    assert scores.moving < 30
    assert scores.moving < scores.all < scores.still


def test_flicker_is_the_change_of_what_stands_still(clip):
    scores = judge(Known(clip, lambda index: 10 * (index % 2)), clip)
    assert scores.flicker == pytest.approx(10 * 219 / 255, abs=0.5)


def test_the_same_seed_gives_the_same_clips(clip):
    stills = [picture(150, 200, index) // 2 + 40 for index in range(3)]
    again = next(rainy_clips(stills[:2], ["fixed"], seed=3))
    other = next(rainy_clips(stills[:2], ["fixed"], seed=4))
    assert all(np.array_equal(a, b) for a, b in zip(clip.rainy, again.rainy, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(clip.rainy, other.rainy, strict=True))


def test_rain_costs_what_the_input_loses(clip):
    null = judge(NullBackend(), clip)
    assert null.all < 35
    assert null.flicker > 1
    assert "| null | fixed |" in table([ClipScores("null", None, {"fixed": null})])
