"""The drawn street: a source like any other, reproducible, textured, alive at every size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.errors import UsageError
from streamderain.readers.scene import SceneReader
from streamderain.scene.street import Street


def test_frames_come_with_their_times_and_are_as_many_as_promised():
    with SceneReader(height=90, width=160, seconds=0.4, fps=25) as reader:
        frames = list(reader)
        assert reader.format.frames == len(frames) == 10
    times = [frame.pts * frame.time_base for frame in frames]
    assert [time * 25 for time in times] == list(range(10))
    assert [frame.index for frame in frames] == list(range(10))
    assert all(frame.duration * frame.time_base * 25 == 1 for frame in frames)
    assert all(frame.camera == "scene" and frame.session == 0 for frame in frames)
    assert reader.problems == []


def test_the_same_seed_gives_the_same_clip_byte_for_byte():
    first, again, other = (
        [frame.pixels for frame in SceneReader(height=90, width=160, seconds=0.2, seed=seed)]
        for seed in (5, 5, 6)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_truth_is_the_frame_that_was_rained_on():
    dry = SceneReader(height=90, width=160, seconds=0.3, rain=None)
    rainy = SceneReader(height=90, width=160, seconds=0.3, rain="heavy")
    for clear, wet in zip(dry, rainy, strict=True):
        truth = rainy.clean_frame(clear.index)
        assert np.array_equal(clear.pixels, truth)
        assert wet.pixels.mean() > truth.mean() + 3
    # Asked for in any order, a frame is the same.
    assert np.array_equal(dry.clean_frame(3), Street(90, 160, 25, 1).frame(3))


def test_things_move_and_the_street_stays():
    street = Street(180, 320, 25, 1)
    early, late = (street.frame(index).astype(int) for index in (0, 20))
    moved = np.abs(early - late).max(axis=2) > 40
    assert 0.01 < moved.mean() < 0.3
    assert not moved[:30].any()  # the upper windows
    assert moved[100:].any()


def test_somebody_is_there_at_every_moment():
    street = Street(180, 320, 25, 1)
    frames = np.stack([street.frame(index) for index in range(0, 400, 40)]).astype(int)
    empty = np.median(frames, axis=0)
    for frame in frames:
        assert (np.abs(frame - empty).max(axis=2) > 40).mean() > 0.01


def test_nearly_every_part_of_the_picture_has_texture():
    frame = Street(360, 640, 25, 1).frame(0).astype(float).mean(axis=2)
    blocks = frame.reshape(18, 20, 32, 20).transpose(0, 2, 1, 3).reshape(18 * 32, -1)
    assert (blocks.std(axis=1) > 2.0).mean() > 0.98
    assert np.median(blocks.std(axis=1)) > 6


def test_the_picture_uses_most_of_the_brightness_there_is():
    frame = Street(360, 640, 25, 1).frame(0)
    low, high = np.percentile(frame, [1, 99])
    assert low < 40
    assert high > 180


@given(st.integers(1, 200), st.integers(1, 200))
@settings(max_examples=8)
def test_every_size_can_be_drawn(height, width):
    with SceneReader(height=height, width=width, seconds=0.04) as reader:
        (frame,) = reader
    assert frame.pixels.shape == (height, width, 3)
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels.flags.c_contiguous


def test_a_larger_picture_shows_the_same_scene():
    small = Street(180, 320, 25, 1).frame(5).astype(float)
    large = Street(360, 640, 25, 1).frame(5).astype(float)
    reduced = large.reshape(180, 2, 320, 2, 3).mean(axis=(1, 3))
    flat_small, flat_large = small.mean(2).ravel(), reduced.mean(2).ravel()
    assert np.corrcoef(flat_small, flat_large)[0, 1] > 0.9


def test_a_closed_scene_ends():
    reader = SceneReader(height=45, width=80, seconds=10)
    frames = iter(reader)
    next(frames)
    reader.close()
    reader.close()
    assert list(frames) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"height": 0}, "above 0"), ({"seconds": 0}, "above 0"), ({"fps": 0}, "above 0"),
        ({"rain": "cats"}, "knows no rain 'cats'; there are light"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_in_a_sentence(wrong, words):
    with pytest.raises(UsageError, match=words):
        SceneReader(**wrong)
