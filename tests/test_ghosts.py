"""The shipped video network where the scene changes: nothing of the old one comes back."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from streamderain.defaults import VIDEO_MODEL
from streamderain.frame import Frame
from streamderain.inference.create import create_backend
from streamderain.inference.derainer import Derainer
from streamderain.inference.prior import Remembered, estimate
from streamderain.rain.streaks import RainConfig, RainField

SIZE = (144, 192)


@pytest.fixture(scope="module")
def backend():
    with create_backend(VIDEO_MODEL, "cpu", "onnx") as made:
        yield made


def rained_on(still, count, seed):
    field = RainField(*still.shape[:2], RainConfig(density=9000, brightness=0.8), seed)
    return [
        np.clip(still + 255 * field.layer()[..., None], 0, 255).astype(np.uint8)
        for _ in range(count)
    ]


def cleaned(backend, pictures, lookahead):
    frames = (
        Frame("gate", 0, index, index, Fraction(1, 25), pixels)
        for index, pixels in enumerate(pictures)
    )
    return [frame.pixels for frame in Derainer(backend, lookahead=lookahead).process(frames)]


def scene(number, size=SIZE):
    rng = np.random.default_rng(number)
    total = np.zeros((*size, 3), np.float32)
    for side in (4, 9, 25, 70):
        small = rng.uniform(0, 255, (size[0] // side + 1, size[1] // side + 1, 3))
        total += cv2.resize(small.astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(total / 4 * 1.4 - 60, 0, 200).astype(np.uint8)


CHANGES = {
    "a cut": lambda: scene(9),
    "a knock": lambda: np.ascontiguousarray(np.rot90(scene(1), 2)),
    "night": lambda: cv2.cvtColor(
        cv2.cvtColor(scene(1), cv2.COLOR_RGB2GRAY) // 4, cv2.COLOR_GRAY2RGB
    ),
    "another size": lambda: scene(1, (120, 160)),
}


@pytest.mark.parametrize("lookahead", [0, 4])
@pytest.mark.parametrize("change", CHANGES)
def test_nothing_of_the_old_scene_comes_back(backend, change, lookahead):
    old, new = rained_on(scene(1), 10, 1), rained_on(CHANGES[change](), 6, 2)
    found = cleaned(backend, [*old, *new], lookahead)[10:]
    # As if there had been no old scene at all.
    alone = cleaned(backend, new, lookahead)
    for ours, expected in zip(found, alone, strict=True):
        assert np.abs(ours.astype(int) - expected).max() <= 1


def test_a_past_that_is_certainly_another_scene_is_not_seen():
    frame = scene(1)
    past = [Remembered(frame + np.uint8(50), 0, 0) for _ in range(6)]
    prior = estimate(frame, (0, 0), past)
    assert not prior.reliability.any()
    assert np.array_equal(prior.pixels, frame)


@pytest.mark.parametrize("lookahead", [0, 4])
def test_a_dim_frame_darkens_no_other(backend, lookahead):
    frames = [scene(1)] * 18
    frames[10] = scene(1) // 3
    for index, found in enumerate(cleaned(backend, frames, lookahead)):
        assert np.abs(found.astype(int) - frames[index]).mean() < 2, index


@pytest.mark.parametrize("lookahead", [0, 4])
def test_lights_that_come_on_stay_on(backend, lookahead):
    gains = [1.0] * 10 + [1 + step / 6 for step in range(1, 7)] + [2.0] * 4
    frames = [np.clip(scene(1) * gain, 0, 255).astype(np.uint8) for gain in gains]
    errors = [
        np.abs(found.astype(int) - frame).mean()
        for found, frame in zip(cleaned(backend, frames, lookahead), frames, strict=True)
    ]
    assert max(errors) < 9.5  # in 8 bits; 9 in floats
    assert max(errors[-3:]) < 4


def test_the_past_takes_away_more_rain_than_a_single_frame_allows(backend):
    still = scene(3)
    rainy = rained_on(still, 12, 3)
    found = cleaned(backend, rainy, 0)
    errors = [np.mean((f.astype(float) - still) ** 2) for f in found]
    assert np.mean(errors[-3:]) < 0.5 * np.mean(errors[:2])


def test_a_clip_of_one_frame_is_cleaned(backend):
    still = scene(5)
    (rainy,) = rained_on(still, 1, 4)
    (found,) = cleaned(backend, [rainy], 4)
    before, after = (np.mean((f.astype(float) - still) ** 2) for f in (rainy, found))
    assert after < 0.9 * before
