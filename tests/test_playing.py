"""Recordings and the test scene, played as cameras."""

import threading
import time
from fractions import Fraction

import pytest

from streamderain.frame import size_of
from streamderain.readers.live import SourceWrongError
from streamderain.readers.playing import play_file, play_scene
from tests.clips import make_clip

MS = 1_000_000


def test_a_paced_recording_plays_at_its_own_speed(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=12)
    began = time.time_ns()
    with play_file(clip, pace=True) as source:
        got = [(captured.taken.ns, time.time_ns()) for captured in source]
    assert len(got) == 12
    assert 440 * MS <= got[-1][1] - began < 3000 * MS
    for taken, came in got:
        assert taken <= came


def test_an_unpaced_one_as_fast_as_it_is_taken(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=100)
    began = time.monotonic()
    with play_file(clip, pace=False) as source:
        assert sum(1 for _ in source) == 100
    assert time.monotonic() - began < 3.0


def test_where_it_is_taken_too_slowly_its_times_stay_young(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=10)
    with play_file(clip, pace=True) as source:
        for captured in source:
            assert time.time_ns() - captured.taken.ns < 150 * MS
            time.sleep(0.15)


def test_closing_wakes_it_up(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", pts=[0, 12800 * 3600], frames=2)
    source = play_file(clip, pace=True)
    thread = threading.Thread(target=lambda: list(source))
    thread.start()
    source.close()
    thread.join(5)
    assert not thread.is_alive()


def test_a_recording_that_is_missing_is_named(tmp_path):
    with pytest.raises(SourceWrongError, match="does not exist"):
        play_file(tmp_path / "none.mp4", pace=True)


def test_the_scene_plays_in_the_size_that_is_asked_for():
    with play_scene(rain=None, size=(48, 64), fps=Fraction(50)) as source:
        pictures = iter(source)
        first, second = next(pictures), next(pictures)
    assert size_of(first.picture()) == (48, 64)
    assert (second.pts - first.pts) * second.time_base == Fraction(1, 50)


def test_a_scene_that_cannot_be_is_refused():
    with pytest.raises(SourceWrongError, match="no rain 'hail'"):
        play_scene(rain="hail", size=(48, 64), fps=Fraction(25))
