"""Stills made into clips."""

import numpy as np
import pytest

from tools.clips import (
    MOTIONS,
    Mover,
    camera_path,
    draw_clip,
    random_movers,
    random_vehicles,
)


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_the_view_never_leaves_the_still(motion, seed):
    path = camera_path(motion, 40, np.random.default_rng(seed), reach=(20, 33))
    assert path.shape == (40, 2)
    assert path.min() >= 0
    assert path[:, 0].max() <= 20
    assert path[:, 1].max() <= 33


def test_cameras_move_as_they_are_called():
    def moved(motion):
        paths = [
            camera_path(motion, 30, np.random.default_rng(s), reach=(99, 99)) for s in range(9)
        ]
        return [np.ptp(path, axis=0).max() for path in paths]

    assert max(moved("fixed")) == 0
    assert 0 < max(moved("tremble")) <= 6
    assert max(moved("pan")) > 20
    with pytest.raises(ValueError, match="not 'spin'"):
        camera_path("spin", 3, np.random.default_rng(0), reach=(9, 9))


def test_a_fixed_camera_shows_the_still_itself():
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    path = camera_path("fixed", 3, rng, reach=(10, 20))
    clip = draw_clip(still, path, [], (30, 40))
    top, left = path[0].astype(int)
    for frame, moving in zip(clip.frames, clip.moving, strict=True):
        assert np.array_equal(frame, still[top : top + 30, left : left + 40])
        assert not moving.any()


def test_things_move_and_are_known_to():
    still = np.full((40, 60, 3), 50, np.uint8)
    thing = Mover(
        np.full((8, 6, 3), 200, np.uint8), np.ones((8, 6), np.float32), (10.0, 5.0), (0.0, 2.0)
    )
    clip = draw_clip(still, np.zeros((4, 2)), [thing], (40, 60))
    for index, (frame, moving) in enumerate(zip(clip.frames, clip.moving, strict=True)):
        expected = np.zeros((40, 60), bool)
        expected[10:18, 5 + 2 * index : 11 + 2 * index] = True
        assert np.array_equal(moving, expected)
        assert (frame[expected] == 200).all()
        assert (frame[~expected] == 50).all()


def test_the_same_seed_gives_the_same_clip():
    still = np.random.default_rng(1).integers(0, 256, (90, 120, 3), dtype=np.uint8)

    def clip():
        rng = np.random.default_rng(7)
        path = camera_path("pan", 6, rng, reach=(30, 40))
        return draw_clip(still, path, random_movers([still], 3, (60, 80), 6, rng), (60, 80))

    first, second = clip(), clip()
    assert all(np.array_equal(a, b) for a, b in zip(first.frames, second.frames, strict=True))
    assert any(moving.any() for moving in first.moving)
    assert not np.array_equal(first.frames[0], first.frames[5])


def test_a_view_outside_the_still_is_refused():
    with pytest.raises(ValueError, match="leads out"):
        draw_clip(np.zeros((20, 20, 3), np.uint8), np.array([[5.0, 0.0]]), [], (16, 16))


def test_what_comes_nearer_grows_around_its_middle():
    still = np.full((60, 80, 3), 50, np.uint8)
    thing = Mover(
        np.full((10, 20, 3), 200, np.uint8), np.ones((10, 20), np.float32), (25.0, 30.0),
        (0.0, 0.0), growth=1.2,
    )  # fmt: skip
    clip = draw_clip(still, np.zeros((4, 2)), [thing], (60, 80))
    for index, moving in enumerate(clip.moving):
        rows, columns = np.nonzero(moving)
        assert np.ptp(rows) + 1 == pytest.approx(10 * 1.2**index, abs=1.5)
        assert np.ptp(columns) + 1 == pytest.approx(20 * 1.2**index, abs=1.5)
        assert (rows.mean(), columns.mean()) == pytest.approx((29.5, 39.5), abs=0.8)


def test_vehicles_pass_through_the_view_and_are_smooth():
    still = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    for seed in range(12):
        things = random_vehicles(2, (96, 96), 13, np.random.default_rng(seed))
        again = random_vehicles(2, (96, 96), 13, np.random.default_rng(seed))
        clip = draw_clip(still, np.zeros((13, 2)), things, (96, 96))
        same = draw_clip(still, np.zeros((13, 2)), again, (96, 96))
        assert np.array_equal(clip.frames, same.frames)
        assert any(moving.any() for moving in clip.moving)
        for thing in things:
            steps = np.abs(np.diff(thing.texture.astype(int), axis=1))
            assert np.median(steps) <= 1
