"""When a picture was taken: from the camera's clock, its timestamps, or its arrival."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.readers.capture import CaptureClock, LagGuard, RateLimiter

NOW = 1_800_000_000 * 10**9
FRAME = Fraction(1, 25)


def ms(number):
    return round(number * 10**6)


def test_the_cameras_own_clock_goes_before_all():
    taken = CaptureClock().stamp(Fraction(3), NOW, NOW - ms(80))
    assert (taken.ns, taken.source) == (NOW - ms(80), "rtcp")


def test_without_it_jitter_does_not_show():
    clock = CaptureClock()
    late = [0, 30, 5, 200, 0, 90, 15, 0]  # ms on the way
    taken = [
        clock.stamp(index * FRAME, NOW + index * ms(40) + ms(delay))
        for index, delay in enumerate(late)
    ]
    assert {time.source for time in taken} == {"pts"}
    steps = [(b.ns - a.ns) / ms(1) for a, b in itertools.pairwise(taken)]
    assert steps == pytest.approx([40] * 7, abs=0.1)


def test_what_was_buffered_at_the_start_is_corrected_by_what_came_soonest():
    clock = CaptureClock()
    for index in range(10):  # all at once, a second late
        clock.stamp(index * FRAME, NOW + ms(1000))
    taken = clock.stamp(Fraction(2), NOW + ms(2050))
    assert taken.ns == NOW + ms(2050)
    jittered = clock.stamp(2 + FRAME, NOW + ms(2190))
    assert jittered.ns == pytest.approx(NOW + ms(2090), abs=ms(1))


def test_the_drift_of_the_cameras_crystal_is_followed():
    clock = CaptureClock()
    for second in range(0, 3600, 2):
        slow = second * 1.0001  # 100 parts in a million: what it calls a second takes longer
        taken = clock.stamp(Fraction(second), NOW + ms(slow * 1000))
    assert abs(taken.ns - (NOW + ms(slow * 1000))) < ms(1)


def test_without_timestamps_it_is_the_arrival():
    taken = CaptureClock().stamp(None, NOW)
    assert (taken.ns, taken.source) == (NOW, "arrival")


def test_a_clock_that_was_never_set_is_not_believed_and_told():
    clock = CaptureClock()
    taken = clock.stamp(Fraction(0), NOW, NOW - 3600 * 10**9)
    assert (taken.ns, taken.source) == (NOW, "pts")
    assert clock.clock_off_s == -3600
    clock.stamp(FRAME, NOW + ms(40), NOW + ms(35))
    assert clock.clock_off_s is None


@given(
    events=st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-1000, 1000)),
            st.integers(0, 5000),
            st.one_of(st.none(), st.integers(-20000, 20000)),
        ),
        max_size=40,
    )
)
def test_times_only_ever_increase(events):
    clock, last = CaptureClock(), 0
    for pts, arrival, camera in events:
        taken = clock.stamp(
            None if pts is None else Fraction(pts, 90),
            NOW + ms(arrival),
            None if camera is None else NOW + ms(arrival + camera),
        )
        assert taken.ns > last
        last = taken.ns


@pytest.mark.parametrize(
    ("fps", "limit", "expected"), [(25, 10, 10), (25, 25, 25), (30, 15, 15), (25, 100, 25)]
)
def test_so_many_frames_a_second_get_through(fps, limit, expected):
    limiter = RateLimiter(limit)
    admitted = [limiter.admits(index / fps) for index in range(10 * fps)]
    assert sum(admitted) == pytest.approx(10 * expected, abs=1)


def test_without_a_limit_every_frame_does():
    limiter = RateLimiter(None)
    assert all(limiter.admits(seconds) for seconds in (0, 0, 1e-9, 5, 4.9))


def test_after_a_clock_began_anew_frames_still_come():
    limiter = RateLimiter(5)
    assert limiter.admits(1000.0)
    assert limiter.admits(0.0)
    assert not limiter.admits(0.04)


def test_a_burst_after_a_pause_is_let_through():
    guard = LagGuard(0.5)
    lags = [3.0 - 0.05 * index for index in range(60)]
    assert all(guard.admits(lag, 100 + index / 100) for index, lag in enumerate(lags))


def test_a_reader_that_stays_behind_leaves_frames_out_until_it_has_caught_up():
    guard, now, admitted = LagGuard(0.5), 0.0, []
    for lag in [0.1, *[2.0] * 30, 1.0, 0.6, 0.4, 0.2, 0.4, 0.6]:
        admitted.append(guard.admits(lag, now))
        now += 0.1
    assert admitted == [*[True] * 21, *[False] * 13, True, True, True]


def test_a_recording_may_be_as_late_as_it_likes():
    guard = LagGuard(None)
    assert all(guard.admits(1e6, now) for now in range(100))


def test_the_lag_is_what_a_picture_lost_against_the_soonest():
    clock = CaptureClock()
    clock.stamp(Fraction(0), NOW + ms(50))
    assert clock.lag_s == 0
    clock.stamp(Fraction(1), NOW + ms(3050))
    assert clock.lag_s == pytest.approx(2.0, abs=0.01)
    clock.stamp(Fraction(2), NOW + ms(2040))
    assert clock.lag_s == 0
