"""One camera's frames on their way: order, policies, deadlines."""

import numpy as np
import pytest

from streamderain.live.lane import MAX_HELD, Lane, LaneSettings
from tests.live_frames import live_frame, numbers


def lane(policy="drop-oldest", **settings):
    return Lane(LaneSettings(policy=policy, **settings))


def filled(here, count, now=0.0):
    for index in range(count):
        here.offer(live_frame(index), now + index / 100)
    return here


def run(here, tickets):
    for ticket in tickets:
        here.start(ticket)
    for ticket in tickets:
        assert here.finish(ticket)
        ticket.frame.derained = True


def test_frames_leave_in_the_order_in_which_they_came():
    here = filled(lane(), 3)
    first, second, third = here.waiting()
    run(here, [third])
    assert numbers(here.leave(0.1)) == []
    run(here, [first])
    assert numbers(here.leave(0.1)) == [0]
    run(here, [second])
    assert numbers(here.leave(0.1)) == [1, 2]


def test_latest_keeps_only_the_newest_waiting_and_passes_the_others_on():
    here = filled(lane("latest"), 3)
    assert [ticket.frame.index for ticket in here.waiting()] == [2]
    left = list(here.leave(0.1))
    assert [(frame.index, frame.bypass) for frame in left] == [(0, "overload"), (1, "overload")]


def test_drop_oldest_lets_the_oldest_give_way():
    here = filled(lane(capacity=2), 5)
    assert [ticket.frame.index for ticket in here.waiting()] == [3, 4]
    assert numbers(here.leave(0.1)) == [0, 1, 2]


def test_a_frame_in_the_network_is_not_displaced_but_those_behind_it_wait():
    here = filled(lane("latest"), 1)
    (first,) = here.waiting()
    here.start(first)
    for index in (1, 2, 3):
        here.offer(live_frame(index), 0.1)
    assert numbers(here.leave(0.2)) == []
    assert here.finish(first)
    assert numbers(here.leave(0.2)) == [0, 1, 2]


def test_at_its_deadline_a_frame_leaves_as_it_came_even_out_of_the_network():
    here = filled(lane("latest", staleness_s=0.5), 1)
    (ticket,) = here.waiting()
    before = ticket.frame.pixels
    here.start(ticket)
    assert here.next_deadline() == 0.5
    assert numbers(here.leave(0.499)) == []
    (frame,) = here.leave(0.5)
    assert (frame.bypass, frame.derained) == ("overload", False)
    assert frame.pixels is before
    assert not here.finish(ticket)


def test_block_makes_the_reader_wait_and_has_no_deadline():
    here = filled(lane("block", capacity=2, staleness_s=None), 2)
    assert not here.has_room
    with pytest.raises(ValueError, match="full"):
        here.offer(live_frame(2), 0.1)
    assert here.next_deadline() is None
    assert numbers(here.leave(1e9)) == []
    run(here, here.waiting())
    assert numbers(here.leave(0.1)) == [0, 1]
    assert here.has_room


def test_what_is_dropped_is_told_by_the_next_frame():
    here = filled(lane("latest", overload="drop"), 4)
    run(here, here.waiting())
    (frame,) = here.leave(0.1)
    assert (frame.index, frame.dropped) == (3, {"overload": 3})
    assert here.dropped == {"overload": 3}


def test_drops_from_before_are_added_up():
    here = lane("latest", overload="drop")
    for index in range(2):
        frame = live_frame(index)
        frame.dropped = {"max_fps": 2}
        here.offer(frame, 0)
    run(here, here.waiting())
    (frame,) = here.leave(0)
    assert frame.dropped == {"max_fps": 4, "overload": 1}


def test_a_frame_with_a_bypass_never_waits_for_the_network():
    here = lane()
    here.offer(live_frame(0, bypass="corrupt"), 0)
    assert here.waiting() == []
    assert [frame.bypass for frame in here.leave(0)] == ["corrupt"]


def test_not_even_a_stuck_network_makes_it_hold_frames_without_end():
    here = lane("latest", staleness_s=1e6)
    here.offer(live_frame(0), 0)
    here.start(here.waiting()[0])
    left = 0
    for index in range(1, 500):
        here.offer(live_frame(index), 0)
        left += len(list(here.leave(0)))
        assert len(here) <= MAX_HELD
    assert left + len(here) == 500


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": "newest"}, "latest, drop-oldest, block"),
        ({"capacity": 0}, "capacity"),
        ({"staleness_s": None}, "staleness"),
        ({"staleness_s": 0}, "above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        LaneSettings(**settings)


def test_the_pixels_are_handed_on_not_copied():
    here = lane()
    frame = live_frame(0)
    here.offer(frame, 0)
    run(here, here.waiting())
    (left,) = here.leave(0)
    assert np.shares_memory(left.pixels, frame.pixels)


class Noted:
    """What a frame's past would be asked for."""

    def __init__(self):
        self.forgone = False

    def forgo(self):
        self.forgone = True


def test_the_past_hears_of_frames_that_leave_without_the_network():
    here, pasts = lane("latest", staleness_s=0.5), [Noted() for _ in range(4)]
    for index, past in enumerate(pasts[:3]):
        here.offer(live_frame(index), 0.0, past)  # each takes the place of the one before
    assert [past.forgone for past in pasts] == [True, True, False, False]
    run(here, here.waiting())
    assert len(list(here.leave(0.1))) == 3
    here.offer(live_frame(3), 0.2, pasts[3])
    assert len(list(here.leave(0.8))) == 1, "it has waited too long"
    assert [past.forgone for past in pasts] == [True, True, False, True]
