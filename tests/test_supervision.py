"""When a camera is connected to, given up and tried again, and what its state is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.live.supervision import (
    GRACE_S,
    REFUSED_S,
    STEADY_S,
    Action,
    Backoff,
    CameraState,
    Fault,
    Supervision,
)


def supervision(rng=lambda: 1.0):
    return Supervision(Backoff(1.0, 30.0, rng), timeout_s=10.0, stall_s=5.0)


def live(now=0.0):
    here = supervision()
    here.started(now)
    here.got(now)
    here.reading(now)
    return here


def said(here):
    return [(change.state.value, change.message) for change in here.changes()]


def test_it_connects_at_once():
    assert supervision().due(0.0) is Action.CONNECT


def test_a_camera_that_is_down_at_the_start_is_tried_for_ever_ever_slower():
    here, now, waits = supervision(), 0.0, []
    for _ in range(12):
        assert here.due(now) is Action.CONNECT
        here.started(now)
        assert here.due(now) is None
        here.lost(Fault.LOST, "no route", now)
        began = now
        while here.due(now) is None:
            now += 0.25
        waits.append(now - began)
    assert waits[:6] == [1, 2, 4, 8, 16, 30]
    assert set(waits[5:]) == {30}


def test_a_failure_that_repeats_is_said_once():
    here, now = supervision(), 0.0
    for _ in range(5):
        here.started(now)
        here.lost(Fault.LOST, "no route", now)
        now += 100
    assert said(here) == [("backoff", "no route")]
    here.started(now)
    here.lost(Fault.LOST, "refused", now)
    here.started(now)
    here.got(now)
    assert said(here) == [("backoff", "refused"), ("live", None)]


@given(draws=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_jitter_only_shortens_and_never_below_half(draws):
    numbers = iter(draws)
    backoff = Backoff(1.0, 30.0, lambda: next(numbers))
    for index in range(len(draws)):
        whole = min(30.0, 2.0**index)
        assert whole / 2 <= backoff.next() <= whole


def test_a_camera_that_lasted_starts_its_backoff_anew_one_that_flaps_does_not():
    here = live()
    here.lost(Fault.LOST, "cut", 1.0)
    here.started(3.0)
    here.got(3.0)
    here.lost(Fault.LOST, "cut", 4.0)
    assert here.due(5.9) is None
    assert here.due(6.0) is Action.CONNECT
    here.started(6.0)
    here.got(6.0)
    here.reading(6.0)
    here.got(6.0 + STEADY_S + 1)
    here.lost(Fault.LOST, "cut", 30.0)
    assert here.due(31.0) is Action.CONNECT


def test_a_refused_password_is_named_and_tried_slowly():
    here = supervision()
    here.started(0.0)
    here.lost(Fault.REFUSED, "gate refuses the user and password", 0.0)
    assert here.state is CameraState.FAILED
    assert said(here) == [("failed", "gate refuses the user and password")]
    assert here.due(REFUSED_S - 0.1) is None
    assert here.due(REFUSED_S) is Action.CONNECT


def test_a_connected_camera_that_sends_nothing_is_stalled_and_given_up():
    here = live()
    assert here.due(4.9) is None
    assert here.state is CameraState.LIVE
    assert here.due(5.0) is None
    assert here.state is CameraState.STALLED
    assert here.message == "no frame for 5 s"
    assert here.due(5.0 + GRACE_S) is Action.ABANDON


def test_a_stalled_camera_that_sends_again_is_live():
    here = live()
    here.due(5.0)
    here.got(6.0)
    assert here.state is CameraState.LIVE
    assert here.connects == 1  # it is still the same connection
    assert said(here) == [("live", None), ("stalled", "no frame for 5 s"), ("live", None)]


def test_a_camera_is_lost_since_it_was_lost_however_often_it_is_tried_again():
    here = live()
    here.due(5.0)
    here.lost(Fault.LOST, "no frame for 5 s", 5.0 + GRACE_S)
    for now in (20.0, 40.0, 60.0):
        here.started(now)
        assert (here.state, here.since) == (CameraState.CONNECTING, 5.0)
        here.lost(Fault.LOST if now < 30 else Fault.WRONG, "no route", now + 3)
        assert here.since == 5.0
    here.started(80.0)
    here.got(81.0)
    assert (here.state, here.since) == (CameraState.LIVE, 81.0)
    here.lost(Fault.LOST, "cut", 90.0)
    assert here.since == 90.0
    here.pause(95.0)
    here.resume(96.0)
    assert (here.state, here.since) == (CameraState.CONNECTING, 96.0)


def test_a_camera_that_never_came_is_lost_since_the_first_try_failed():
    here = supervision()
    here.started(1.0)
    here.lost(Fault.LOST, "no route", 4.0)
    here.started(9.0)
    here.lost(Fault.LOST, "no route", 12.0)
    assert here.since == 4.0


def test_a_stalled_camera_that_was_connected_to_anew_is_a_connection_more():
    here = live()
    here.due(5.0)
    here.lost(Fault.LOST, "no frame for 5 s", 5.0 + GRACE_S)
    here.started(20.0)
    here.got(21.0)
    assert here.connects == 2


def test_a_reader_that_waits_for_a_slow_consumer_is_not_stalled():
    here = live()
    here.got(1.0)  # and is not reading again
    assert here.due(1e6) is None
    assert here.state is CameraState.LIVE


def test_a_connection_attempt_that_hangs_is_given_up():
    here = supervision()
    here.started(0.0)
    assert here.due(10.0 + GRACE_S - 0.1) is None
    assert here.due(10.0 + GRACE_S) is Action.ABANDON


def test_a_file_that_loops_begins_at_once_and_one_that_ended_never_again():
    here = live()
    here.again(3.0)
    assert here.due(3.0) is Action.CONNECT
    here.started(3.0)
    assert here.state is CameraState.LIVE  # all the while
    here.got(3.1)
    assert here.connects == 1
    here.ended(4.0)
    assert here.due(1e9) is None
    assert here.state is CameraState.ENDED


@pytest.mark.parametrize("fault", [Fault.WRONG, Fault.DEFECT])
def test_what_takes_a_person_is_failed_and_still_tried(fault):
    here = supervision()
    here.started(0.0)
    here.lost(fault, "no such stream", 0.0)
    assert here.state is CameraState.FAILED
    assert here.due(REFUSED_S) is Action.CONNECT


def test_a_paused_camera_is_connected_to_only_when_the_pause_is_over():
    here = supervision()
    here.due(0.0)
    here.started(0.0)
    here.got(1.0)
    here.pause(2.0)
    assert (here.state, here.since) == (CameraState.PAUSED, 2.0)
    assert here.due(1e6) is None
    here.resume(1e6)
    assert here.state is CameraState.CONNECTING
    assert here.due(1e6) is Action.CONNECT
    here.started(1e6)
    here.got(1e6 + 1)
    assert [change.state.value for change in here.changes()] == ["live", "paused", "live"]


def test_a_pause_is_over_once():
    here = supervision()
    here.started(0.0)
    here.got(1.0)
    here.resume(2.0)
    assert here.state is CameraState.LIVE
    assert here.due(2.0) is None


def test_a_pause_ends_the_waits_between_tries():
    here = supervision()
    for _ in range(4):
        here.started(0.0)
        here.lost(Fault.LOST, "no route", 0.0)
    assert here.due(0.1) is None
    here.pause(0.1)
    here.resume(0.2)
    assert here.due(0.2) is Action.CONNECT
