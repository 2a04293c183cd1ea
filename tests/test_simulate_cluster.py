"""Batches in virtual time: what more workers are worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.simulate_cluster import Batch, Costs, main, simulate, table

COSTS = Costs(clean=10, look=100, join=1000)


def test_one_worker_cleans_one_segment_after_the_other():
    found = simulate(Batch(videos=3, frames=600, segment=200), COSTS, workers=1)
    assert found.seconds == pytest.approx(3 * 60 + 0.6)
    assert found.busy == pytest.approx(180 / 180.6)


def test_two_workers_take_half_as_long_for_videos_of_their_own():
    batch = Batch(videos=2, frames=1000, segment=1000)
    assert simulate(batch, COSTS, 2).seconds == pytest.approx(100 + 2 * 1.0)


def test_a_single_recording_goes_as_fast_as_it_can_be_looked_through():
    batch = Batch(videos=1, frames=100_000, segment=1000)
    crowd = simulate(batch, COSTS, 1000)
    assert crowd.seconds == pytest.approx(99 * 10 + 100 + 100)  # looks, the last segment, the join


def test_recordings_that_come_faster_than_they_are_joined_wait_for_that():
    batch = Batch(videos=100, frames=1000, segment=1000)
    assert simulate(batch, COSTS, 100).seconds == pytest.approx(100 + 100 * 1.0)


@given(
    videos=st.integers(1, 8), segments=st.integers(1, 9), workers=st.integers(1, 40),
    clean=st.floats(1, 50), look=st.floats(50, 500),
)  # fmt: skip
def test_nobody_is_faster_than_the_work_and_nothing_is_left_undone(
    videos, segments, workers, clean, look
):
    batch = Batch(videos, 120 * segments, 120)
    found = simulate(batch, Costs(clean, look, 10_000), workers)
    work = videos * batch.frames / clean
    assert found.seconds >= work / workers
    assert found.busy * found.seconds * workers == pytest.approx(work)  # every segment, once
    assert found.seconds <= simulate(batch, Costs(clean, look, 10_000), 1).seconds * (1 + 1e-9)


def test_segments_of_a_recording_hold_every_frame():
    assert Batch(1, 1000, 300).segments == [334, 333, 333]
    assert Batch(1, 100, 300).segments == [100]


def test_the_table_has_a_row_for_each_number_of_workers():
    rows = table(Batch(4, 3600, 900), COSTS, (1, 2)).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 1", "| 2"]
    assert rows[0].split(" | ")[2] == "1.0"


def test_the_command_prints_it_and_refuses_nonsense(capsys):
    speeds = ["--clean", "10", "--look", "100", "--join", "1000"]
    assert main([*speeds, "--workers", "1", "64"]) == 0
    assert "| 64 |" in capsys.readouterr().out
    assert main([*speeds[:4], "--join", "0"]) == 2
    assert "above 0" in capsys.readouterr().err
