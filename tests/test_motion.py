"""How far a picture has moved, in rain and with things that move by themselves."""

import cv2
import numpy as np
import pytest

from streamderain.inference import motion as motion_module
from streamderain.inference.motion import Movement, changed, measure, prepare
from streamderain.inference.past import TemporalPrior
from streamderain.rain.simulate import PRESETS, RainSimulator
from tools.clips import camera_path, draw_clip, random_movers


@pytest.fixture(scope="module")
def still():
    """A picture of 400×560 pixels with edges of all sizes and directions."""
    rng = np.random.default_rng(3)
    total = np.zeros((400, 560, 3), np.float32)
    for side in (4, 9, 25, 70):
        small = rng.uniform(0, 255, (400 // side + 1, 560 // side + 1, 3)).astype(np.float32)
        total += cv2.resize(small, (560, 400), interpolation=cv2.INTER_CUBIC)
    return np.clip(total / 4, 0, 255).astype(np.uint8)


def errors(still, motion, rain, seed):
    rng = np.random.default_rng(seed)
    path = camera_path(motion, 10, rng, reach=(100, 160))
    movers = random_movers([still], 2, (300, 400), 10, rng)
    frames = draw_clip(still, path, movers, (300, 400)).frames
    if rain:
        simulator = RainSimulator(300, 400, PRESETS[rain], seed=seed)
        frames = [simulator.rain_on(frame) for frame in frames]
    lumas = [prepare(frame) for frame in frames]
    guess, found = (0.0, 0.0), []
    for index in range(1, len(lumas)):
        movement = measure(lumas[index - 1], lumas[index], guess)
        guess = movement.down, movement.right
        found.append(np.array(guess) - (path[index - 1] - path[index]))
    return np.abs(found)


@pytest.mark.parametrize("motion", ["fixed", "tremble", "pan"])
@pytest.mark.parametrize("rain", [None, "moderate", "heavy"])
def test_a_movement_is_found_to_a_fraction_of_a_pixel(still, motion, rain):
    found = np.concatenate([errors(still, motion, rain, seed) for seed in range(3)])
    assert np.median(found) < 0.08
    assert found.max() < 0.5


def test_a_large_picture_is_measured_in_its_own_pixels(still):
    large = cv2.resize(still, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    moved = cv2.warpAffine(large, np.array([[1, 0, -7.0], [0, 1, 12.0]]), (1920, 1080))
    movement = measure(prepare(large), prepare(moved))
    assert movement.down == pytest.approx(12, abs=0.15)
    assert movement.right == pytest.approx(-7, abs=0.15)


@pytest.mark.parametrize("motion", [0, 3])
def test_a_step_that_is_short_is_the_last_one(still, monkeypatch, motion):
    rng = np.random.default_rng(0)
    noisy = [np.clip(still + rng.normal(0, 1, still.shape), 0, 255).astype(np.uint8) for _ in "ab"]
    before, now = noisy[0][:, motion:], noisy[1][:, : still.shape[1] - motion]
    tried = []
    refine = motion_module._refine

    def counted(samples_at, start):
        calls = []
        found = refine(lambda *at: calls.append(at) or samples_at(*at), start)
        tried.append((start, len(calls)))
        return found

    monkeypatch.setattr(motion_module, "_refine", counted)
    movement = measure(prepare(before), prepare(now), (0.0, float(motion)))
    assert movement.right == pytest.approx(motion, abs=0.05)
    assert dict(tried)[0.0, float(motion)] == 1


def test_a_camera_that_turns_before_a_wall_is_followed(still):
    """Where most of the picture is flat, it fits nearly as well where it was."""
    wall = np.full((300, 700, 3), 120, np.uint8)
    for column in range(20, 680, 60):
        wall[120:150, column : column + 22] = still[:30, column % 400 : column % 400 + 22]
    rng = np.random.default_rng(0)
    past, found = TemporalPrior(), []
    for left in [0] * 12 + list(range(8, 120, 8)):
        noisy = wall[:, left : left + 480] + rng.normal(0, 1.5, (300, 480, 3))
        found.append(past.step(np.clip(noisy, 0, 255).astype(np.uint8)).movement)
    assert [round(movement.right) for movement in found[1:]] == [0] * 11 + [-8] * 14


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (7, 9), (16, 16)])
def test_tiny_and_empty_pictures_have_not_moved(size):
    flat = np.full((*size, 3), 90, np.uint8)
    assert measure(prepare(flat), prepare(flat)) == Movement(0.0, 0.0)


def test_two_sizes_cannot_be_compared():
    with pytest.raises(ValueError, match="two sizes"):
        measure(prepare(np.zeros((20, 20, 3), np.uint8)), prepare(np.zeros((20, 30, 3), np.uint8)))


def test_a_cut_changes_all_and_rain_or_a_car_little(still):
    rng = np.random.default_rng(0)
    here = prepare(still[:300, :400])
    there = prepare(255 - still[100:, 160:])
    assert changed(here, there, measure(here, there)) > 0.6
    simulator = RainSimulator(300, 400, PRESETS["heavy"], seed=1)
    wet = [prepare(simulator.rain_on(still[:300, :400])) for _ in range(2)]
    assert changed(*wet, Movement(0, 0)) < 0.2
    movers = random_movers([255 - still], 1, (300, 400), 2, rng)
    clip = draw_clip(still, np.zeros((2, 2)), movers, (300, 400))
    assert changed(*map(prepare, clip.frames), Movement(0, 0)) < 0.3


def test_a_pan_is_no_cut(still):
    before, now = prepare(still[50:350, 50:450]), prepare(still[50:350, 90:490])
    movement = measure(before, now)
    assert movement.right == pytest.approx(-40, abs=0.3)
    assert changed(before, now, movement) < 0.2
