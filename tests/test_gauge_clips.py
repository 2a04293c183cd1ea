"""Clips that the rain gauge learns from: what is in them, and of what size."""

import numpy as np
import pytest

pytest.importorskip("torch")

from tests.training_data import write_rain100
from tools import gauge_clips
from tools.gauge_clips import LENGTH, random_clip
from tools.nuisances import NUISANCES
from tools.training.data import load_pictures


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_rain100(root, 250, 330)
    return load_pictures(root, 1, streak_layers=1)


def made(pictures, number, condition="day", *, rainy=False):
    rng = np.random.default_rng([2, number])
    return random_clip(pictures, pictures.clean, rng, condition, rainy=rainy)


def test_rain_that_nobody_would_see_is_not_taught(pictures, monkeypatch):
    monkeypatch.setattr(gauge_clips, "SEEN_AS", 256)
    for number in range(2):
        assert made(pictures, number, "night", rainy=True) is None
        assert len(made(pictures, number, "night").frames) == LENGTH


@pytest.mark.parametrize(("factor", "kind"), [(0.4, "smaller"), (1.0, None), (2.5, "larger")])
@pytest.mark.parametrize("condition", ["day", "infrared"])
def test_clips_are_of_all_sizes_and_one_in_itself(pictures, monkeypatch, factor, kind, condition):
    monkeypatch.setattr(gauge_clips, "SCALED", float(kind is not None))
    monkeypatch.setattr(gauge_clips, "SMALLEST", factor)
    monkeypatch.setattr(gauge_clips, "LARGEST", factor)
    monkeypatch.setitem(gauge_clips.OFTEN, "compressed", 1.0)
    for number in range(3):
        clip = made(pictures, number, condition)
        assert ({"smaller", "larger"} & set(clip.kinds)) == ({kind} if kind else set())
        shapes = {frame.shape for frame in clip.frames}
        assert len(shapes) == 1
        height, width, _ = shapes.pop()
        assert 100 <= height <= 400
        assert 130 <= width <= 600


def test_the_same_seed_gives_the_same_clip(pictures):
    one, other = (made(pictures, 5, rainy=True) for _ in range(2))
    assert one.kinds == other.kinds
    assert all(np.array_equal(a, b) for a, b in zip(one.frames, other.frames, strict=True))


@pytest.mark.parametrize("name", NUISANCES)
def test_a_nuisance_changes_a_clip_and_leaves_its_source_alone(pictures, name):
    still = pictures.clean[0][:180, :240]
    source = [still.copy() for _ in range(6)]
    found = NUISANCES[name](source, np.random.default_rng(3))
    assert all(np.array_equal(frame, still) for frame in source)
    assert [frame.shape for frame in found] == [still.shape] * 6
    assert any(not np.array_equal(frame, still) for frame in found)


def test_posts_are_upright_and_move_on(pictures):
    dark = [np.zeros((180, 240, 3), np.uint8)] * 6
    rose = 0
    for seed in range(8):
        found = NUISANCES["posts"](dark, np.random.default_rng(seed))
        lit = [(frame.max(axis=2) > 40).astype(float) for frame in found]
        down = sum(np.abs(np.diff(part, axis=0)).sum() for part in lit)
        across = sum(np.abs(np.diff(part, axis=1)).sum() for part in lit)
        rose += across > 1.5 * down
        assert not np.array_equal(found[0], found[-1])
    assert rose >= 6
