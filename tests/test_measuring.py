"""Latencies and the last seconds of a camera: pure, with the time handed in."""

import pytest

from streamderain.live.measuring import BOUNDS, LENGTH, History, Sample, Tally
from streamderain.live.reports import Latency


def test_a_time_is_counted_in_the_bucket_whose_bound_it_does_not_exceed():
    tally = Tally()
    for seconds in (0.0, 0.001, 0.0011, 4.9, 5.0, 60.0):
        tally.add(seconds)
    latency = tally.latency()
    assert latency.counts[:2] == (2, 1)
    assert latency.counts[-2:] == (2, 1)
    assert len(latency.counts) == len(latency.bounds) + 1
    assert latency.frames == 6
    assert latency.total == pytest.approx(69.9021)


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ((0, 0, 0), 0.5, None),
        ((10, 0, 0), 0.5, 0.5),
        ((10, 0, 0), 1.0, 1.0),
        ((10, 10, 0), 0.75, 1.5),
        ((0, 4, 0), 0.0, 1.0),
        ((0, 0, 3), 0.5, 2.0),  # above all bounds: no more is known
        ((5, 0, 5), 0.95, 2.0),
    ],
)
def test_quantiles_grow_evenly_within_a_bucket(counts, share, expected):
    assert Latency((1.0, 2.0), counts, 0.0).quantile(share) == expected


def test_a_quantile_is_near_the_real_one():
    tally = Tally()
    for index in range(1000):
        tally.add(index / 1000)
    assert tally.latency().quantile(0.95) == pytest.approx(0.95, abs=0.02)
    assert tally.latency().quantile(0.5) == pytest.approx(0.5, abs=0.02)


def played(history, seconds, fps=25, start=0.0, step=0.05, before=0):
    """Let a camera run with a watchdog that looks every ``step`` seconds."""
    ticks = round(seconds / step)
    for tick in range(1, ticks + 1):
        now = start + tick * step
        if history.is_due(now):
            decoded = before + int(fps * tick * step + 1e-6)
            history.step(now, 1e9 + now, Sample(decoded=decoded))
    return before + int(fps * seconds)


def test_the_rate_is_that_of_the_last_seconds():
    history = History(now=0.0)
    assert history.fps == 0
    decoded = played(history, 10)
    assert history.fps == pytest.approx(25, abs=0.5)
    played(history, 4, fps=0, start=10.0, before=decoded)
    assert history.fps == 0


def test_what_leaves_has_a_rate_of_its_own():
    history = History(now=0.0)
    assert history.fps_out == 0
    for second in range(1, 11):
        history.step(float(second), 1e9 + second, Sample(decoded=25 * second, left=3 * second))
    assert (history.fps, history.fps_out) == (25, 3)


def test_there_is_one_moment_a_second_and_only_the_last_are_kept():
    history = History(now=0.0)
    played(history, 200)
    moments = history.moments
    assert len(moments) == LENGTH
    assert moments[-1].t - moments[0].t == pytest.approx(LENGTH - 1, abs=2)
    assert all(moment.fps == pytest.approx(25, abs=2) for moment in moments)


def test_a_moment_tells_of_its_own_second_alone():
    history = History(now=0.0)
    fast, slow = [0] * (len(BOUNDS) + 1), [0] * (len(BOUNDS) + 1)
    fast[BOUNDS.index(0.01)] = 20
    slow[BOUNDS.index(0.01)], slow[BOUNDS.index(1.0)] = 20, 10
    history.step(1.0, 101.0, Sample(20, 20, 20, rain=18.0, scored=20, latencies=tuple(fast)))
    history.step(2.0, 102.0, Sample(30, 30, 25, rain=20.0, scored=30, latencies=tuple(slow)))
    history.step(3.0, 103.0, Sample(30, 30, 25, rain=20.0, scored=30, latencies=tuple(slow)))
    first, second, third = history.moments
    assert (first.fps, first.rain, first.derained) == (20, pytest.approx(0.9), 1.0)
    assert 5 < first.latency_ms <= 10
    assert (second.t, second.fps, second.rain) == (102.0, 10, pytest.approx(0.2))
    assert (second.derained, second.latency_ms > 750) == (0.5, True)
    assert (third.fps, third.rain, third.derained, third.latency_ms) == (0, None, None, None)
