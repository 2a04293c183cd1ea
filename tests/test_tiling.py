"""Large frames in overlapping tiles."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.defaults import LIVE_MODEL, PICTURE_MODEL, VIDEO_MODEL
from streamderain.inference.create import create_backend
from streamderain.inference.tiling import (
    BUDGET_BYTES,
    LANES_BYTES,
    choose_tile,
    lanes_for,
    plan_tiles,
    run_tiled,
    seam_weights,
)
from streamderain.models import resolve_model

BYTES = 270  # a pixel, of attention-m

sizes = st.integers(1, 5000)


@given(sizes, sizes, st.integers(200_000, 50_000_000))
def test_tiles_cover_the_frame_and_never_leave_it(height, width, budget):
    plan = choose_tile(height, width, BYTES, budget)
    for length, tile, starts in (
        (height, plan.height, plan.tops),
        (width, plan.width, plan.lefts),
    ):
        assert starts[0] == 0
        assert starts[-1] + tile == length
        for before, after in pairwise(starts):
            assert before < after <= before + tile


@given(sizes, sizes, st.integers(5_000_000, 50_000_000))
def test_tiles_stay_within_the_budget(height, width, budget):
    plan = choose_tile(height, width, BYTES, budget)
    assert plan.height * plan.width * BYTES <= budget


@given(sizes, sizes, st.integers(200_000, 50_000_000))
def test_at_every_pixel_the_weights_of_all_tiles_sum_to_one(height, width, budget):
    plan = choose_tile(height, width, BYTES, budget)
    for length, tile, starts in (
        (height, plan.height, plan.tops),
        (width, plan.width, plan.lefts),
    ):
        total = np.zeros(length)
        for start, weights in zip(starts, seam_weights(length, tile, starts), strict=True):
            assert weights.min() >= 0
            total[start : start + tile] += weights
        assert np.allclose(total, 1, atol=1e-6)


def test_seams_fade_linearly_over_the_overlap():
    first, second = seam_weights(10, 7, (0, 3))
    assert np.allclose(first, [1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert np.allclose(second, [0.2, 0.4, 0.6, 0.8, 1, 1, 1])


def test_frames_up_to_1080p_go_through_whole_and_4k_in_few_tiles():
    assert choose_tile(1080, 1920, BYTES).count == 1
    four_k = choose_tile(2160, 3840, BYTES)
    assert 2 <= four_k.count <= 4
    assert four_k.pixels < 1.05 * 2160 * 3840
    assert four_k.height * four_k.width * BYTES <= BUDGET_BYTES


@pytest.mark.parametrize("name", [VIDEO_MODEL, PICTURE_MODEL, LIVE_MODEL])
def test_a_1080p_frame_is_one_tile_for_what_runs_by_default(name):
    assert choose_tile(1080, 1920, resolve_model(name).bytes_per_pixel).count == 1


def test_a_network_that_takes_more_memory_gets_smaller_tiles():
    hungry = choose_tile(1080, 1920, 4 * BYTES)
    assert hungry.count == choose_tile(2160, 3840, BYTES).count
    assert hungry.height * hungry.width * 4 * BYTES <= BUDGET_BYTES


def test_a_budget_that_nothing_fits_gives_the_smallest_tiles_there_are():
    plan = choose_tile(400, 400, BYTES, budget=1)
    assert plan.height == plan.width < 120


@pytest.mark.parametrize("arguments", [(0, 5, 1, 1), (5, 5, 0, 1), (40, 40, 2, 1), (50, 50, 1, 9)])
def test_a_plan_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(ValueError, match="tiles"):
        plan_tiles(*arguments)


@given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 2**31))
@settings(max_examples=40)
def test_a_network_that_changes_nothing_changes_nothing_in_tiles(height, width, seed):
    frames = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    plan = choose_tile(height, width, BYTES, budget=1)
    assert np.array_equal(run_tiled(np.copy, frames, plan), frames)


def test_a_single_tile_is_run_as_it_is():
    frames = np.zeros((3, 20, 30, 3), np.uint8)
    seen = []

    def run(batch):
        seen.append(batch)
        return batch + 1

    assert run_tiled(run, frames, plan_tiles(20, 30, 1, 1)).max() == 1
    assert len(seen) == 1
    assert seen[0] is frames


def test_all_tiles_have_the_size_of_the_plan():
    plan = plan_tiles(100, 230, 2, 3, overlap=10)
    shapes = set()

    def run(batch):
        shapes.add(batch.shape)
        return batch

    run_tiled(run, np.zeros((2, 100, 230, 3), np.uint8), plan)
    assert shapes == {(1, plan.height, plan.width, 3)}


def test_a_step_between_tiles_becomes_a_ramp():
    """Tiles that disagree by 100 levels meet without any step of more than 100 / overlap."""
    plan = plan_tiles(40, 200, 1, 2, overlap=40)
    answers = iter((50, 150))
    blended = run_tiled(
        lambda tile: np.full_like(tile, next(answers)), np.zeros((1, 40, 200, 3), np.uint8), plan
    )
    line = blended[0, 20, :, 0].astype(int)
    assert (line[0], line[-1]) == (50, 150)
    assert 0 <= np.diff(line).min() <= np.diff(line).max() <= 3


def test_a_real_network_shows_no_seam():
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:320, 0:480]
    calm = 110 + 50 * np.sin(x / 37) * np.cos(y / 29)
    frame = np.clip(calm[..., None] + rng.normal(0, 12, (320, 480, 1)), 0, 255)
    frames = np.repeat(frame, 3, axis=2).astype(np.uint8)[None]
    plan = plan_tiles(320, 480, 2, 2)
    with create_backend("attention-m", "cpu") as backend:
        whole = backend.run(frames)
        tiled = run_tiled(backend.run, frames, plan)
    difference = (tiled.astype(int) - whole)[0].mean(axis=2)
    assert np.abs(difference).mean() < 1
    for axis in (0, 1):  # a seam would be a step of a whole row or column
        assert np.abs(np.diff(difference.mean(axis=axis))).max() < 1


def test_as_many_frames_side_by_side_as_memory_allows():
    assert lanes_for(8, 360, 640, 300) == 8
    assert lanes_for(8, 1080, 1920, 300) == 2
    assert lanes_for(8, 2160, 3840, 300) == 1  # in tiles
    assert lanes_for(1, 360, 640, 300) == 1
    assert lanes_for(8, 90, 160, 300) == 1  # as one batch
    for lanes in (1, 2, 8):
        for height in (1, 180, 720, 1080, 2160):
            found = lanes_for(lanes, height, height * 16 // 9 + 1, 300)
            assert 1 <= found <= lanes
            assert found == 1 or found * height * (height * 16 // 9 + 1) * 300 <= LANES_BYTES
