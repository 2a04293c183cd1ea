"""A camera that adjusts its exposure: its past is brought to its present, and nothing else is."""

import numpy as np
import pytest

from streamderain.inference import exposure
from streamderain.inference.exposure import MOST, as_bright_as
from streamderain.inference.pictures import bytes_of
from streamderain.inference.prior import Remembered, estimate
from tests.coded import coded


@pytest.fixture(scope="module")
def scene():
    """A smooth scene with some structure, uint8 90×160×3, as a camera sees it again and again."""
    rng = np.random.default_rng(1)
    flat = np.kron(rng.integers(60, 180, (9, 16, 3)), np.ones((10, 10, 1)))

    def taken(offset=0.0):
        noise = rng.normal(0, 1.5, flat.shape)
        return np.clip(flat + offset + noise, 0, 255).astype(np.uint8)

    return taken


def brought(frame, other):
    (found,) = as_bright_as(frame, [other])
    return found


def off(frame, other):
    return float(np.median(frame.astype(int) - other))


@pytest.mark.parametrize("offset", [-9, -4, 4, 9])
def test_the_past_becomes_as_bright_as_the_present(scene, offset):
    frame, other = scene(offset), scene()
    before = other.copy()
    assert abs(off(frame, brought(frame, other))) <= 1
    assert (other == before).all()


def test_a_frame_that_is_as_bright_is_the_very_same(scene):
    frame, other = scene(1), scene()
    assert brought(frame, other) is other


@pytest.mark.parametrize("offset", [-3.0, -2.0, -1.8, -1.0, 0.0, 1.0, 1.8, 2.0, 3.0])
def test_counting_tells_what_sorting_tells(scene, monkeypatch, offset):
    given = [scene(np.array([offset, 0.0, 0.0])), scene()]
    for frame, other in (given, [coded(picture) for picture in given]):
        with monkeypatch.context() as patched:
            quick = brought(frame, other)
            patched.setattr(exposure, "_may_have_changed", lambda apart, contrast: True)
            assert np.array_equal(bytes_of(quick), bytes_of(brought(frame, other)))


def test_each_channel_has_its_own_change(scene):
    frame, other = scene(np.array([6.0, 0.0, -6.0])), scene()
    nearer = brought(frame, other).astype(int) - other
    assert np.median(nearer, axis=(0, 1)) == pytest.approx([6, 0, -6], abs=1)


def test_rain_and_things_that_move_are_no_exposure(scene):
    rng = np.random.default_rng(2)
    frame, other = scene().astype(int), scene()
    frame[rng.random(frame.shape[:2]) < 0.3] += 60
    frame[20:60, 10:60] = 30
    frame = np.clip(frame, 0, 255).astype(np.uint8)
    assert brought(frame, other) is other


def test_rain_all_over_both_frames_does_not_hide_it(scene):
    rng = np.random.default_rng(4)

    def rained(offset):
        frame = scene(offset).astype(int)
        for share, level in ((0.3, 12), (0.1, 60)):
            frame += (rng.random(frame.shape[:2]) < share)[..., None] * level
        return np.clip(frame, 0, 255).astype(np.uint8)

    frame, other = rained(6), rained(0)
    assert abs(off(frame, brought(frame, other))) <= 1
    again = rained(0)
    assert brought(again, other) is other


def test_another_light_is_more_than_an_exposure(scene):
    frame, other = scene(MOST + 20), scene()
    assert brought(frame, other) is other


def test_a_thing_before_most_of_the_picture_is_no_exposure():
    other = np.full((90, 160, 3), 100, np.uint8)
    frame = other.copy()
    frame[:, :95] += 8
    assert brought(frame, other) is other


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (300, 5)])
def test_every_size_is_taken(size):
    frame = np.full((*size, 3), 100, np.uint8)
    assert (brought(frame, frame - 5) == 100).all()


def test_the_prior_of_a_scene_that_gets_brighter_is_as_bright_and_trusted(scene):
    past = [Remembered(scene(2 * k), 0.0, 0.0, k) for k in range(5)]
    frame = scene(10)
    prior = estimate(frame, (0.0, 0.0), past)
    assert abs(off(frame, prior.pixels)) <= 1
    still = estimate(scene(), (0.0, 0.0), [Remembered(scene(), 0.0, 0.0, k) for k in range(5)])
    assert prior.reliability.mean() > 0.95 * still.reliability.mean()
