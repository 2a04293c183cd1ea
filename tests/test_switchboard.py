"""All cameras' frames from decoder to writers: conserved at every moment, in order, told truly."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.inference.cost import CostModel
from streamderain.inference.sharing import CameraBatcher
from streamderain.live.lane import LaneSettings
from streamderain.live.outlet import Outlet
from streamderain.live.switchboard import Switchboard
from tests.live_frames import live_frame

CAMERAS = ("a", "b", "c")
LANES = {
    "a": LaneSettings("latest", staleness_s=0.3),
    "b": LaneSettings("drop-oldest", capacity=3, staleness_s=0.5, overload="drop"),
    "c": LaneSettings("block", capacity=4, staleness_s=None),
}


def board(limit=3, cost=None):
    here = Switchboard(CameraBatcher(lambda height, width: limit, 0.0, cost or CostModel()))
    for camera in CAMERAS:
        outlets = {"publish": Outlet("publish", 2), "record": Outlet("record", 5)}
        here.add(camera, LANES[camera], outlets)
    return here


class Subscriber:
    """Counts from the frames alone, as a subscriber does from their headers."""

    def __init__(self):
        self.seq, self.dropped, self.last = 0, Counter(), -1

    def got(self, frame):
        self.dropped.update(frame.dropped)
        self.seq += 1
        assert frame.index > self.last
        self.last = frame.index
        assert frame.decoded == frame.index + 1
        assert frame.decoded == self.seq + sum(self.dropped.values())


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("decode"), st.sampled_from(CAMERAS)),
        st.tuples(st.just("decode"), st.sampled_from(CAMERAS)),
        st.tuples(st.just("skip"), st.sampled_from(CAMERAS)),
        st.tuples(st.just("corrupt"), st.sampled_from(CAMERAS)),
        st.tuples(st.just("start"), st.none()),
        st.tuples(st.just("finish"), st.booleans()),
        st.tuples(st.just("write"), st.tuples(st.sampled_from(CAMERAS), st.booleans())),
        st.tuples(st.just("sleep"), st.floats(0, 0.4)),
    ),
    max_size=120,
)


@settings(max_examples=200)
@given(events=EVENTS)
def test_frames_are_conserved_whatever_happens(events):
    here, now, running = board(), 0.0, []
    decoded = Counter()
    subscribers = {(c, o): Subscriber() for c in CAMERAS for o in ("publish", "record")}

    def check():
        for camera in CAMERAS:
            count = here.count(camera)
            assert count.decoded == decoded[camera]
            assert count.missing() == {"publish": 0, "record": 0}

    def write(camera, outlet):
        frame = here.take(camera, outlet)
        if frame is not None:
            check()
            subscribers[camera, outlet].got(frame)
            here.settle(camera, outlet, frame, now, written=True)
        return frame is not None

    for kind, what in events:
        if kind in ("decode", "corrupt") and here.has_room(what):
            bypass = "corrupt" if kind == "corrupt" else None
            here.offer(what, live_frame(decoded[what], what, bypass=bypass), now)
            decoded[what] += 1
        elif kind == "skip":
            here.skip(what, "max_fps")
            decoded[what] += 1
        elif kind == "start":
            if tickets := here.work(now).tickets:
                running.append(tickets)
        elif kind == "finish" and running:
            tickets = running.pop(0)
            pixels = [ticket.frame.pixels + 1 for ticket in tickets] if what else None
            here.finish(tickets, pixels, "net", now)
        elif kind == "write":
            camera, record = what
            write(camera, "record" if record else "publish")
        elif kind == "sleep":
            now += what
            here.sweep(now)
        check()
    for tickets in running:
        here.finish(tickets, None, "net", now)
    while tickets := here.work(now).tickets:
        here.finish(tickets, [ticket.frame.pixels for ticket in tickets], "net", now)
    for camera, outlet in subscribers:
        while write(camera, outlet):
            pass
    assert all(here.is_idle(camera) for camera in CAMERAS)
    check()


def test_the_count_notices_a_frame_that_got_lost():
    here = board()
    here.offer("a", live_frame(0, "a", bypass="corrupt"), 0.0)
    here._cameras["a"].outlets["publish"]._waiting.clear()
    assert here.count("a").missing() == {"publish": 1, "record": 0}


def test_a_network_that_fails_lets_the_frames_pass():
    here = board()
    here.offer("a", live_frame(0, "a"), 0.0)
    here.finish(here.work(0.0).tickets, None, "net", 0.1)
    frame = here.take("a", "publish")
    assert (frame.derained, frame.bypass, frame.model) == (False, "failed", None)
    assert here.count("a").bypassed == {"failed": 1}


def test_a_derained_frame_says_by_what():
    here = board()
    here.offer("a", live_frame(0, "a"), 0.0)
    tickets = here.work(0.0).tickets
    here.finish(tickets, [tickets[0].frame.pixels + 5], "net", 0.1)
    frame = here.take("a", "publish")
    assert (frame.derained, frame.bypass, frame.model) == (True, None, "net")
    assert frame.pixels[0, 0, 0] == 5


def test_a_frame_that_left_the_network_behind_keeps_its_own_pixels():
    here = board()
    here.offer("a", live_frame(7, "a"), 0.0)
    tickets = here.work(0.0).tickets
    here.sweep(0.31)
    here.finish(tickets, [tickets[0].frame.pixels + 5], "net", 2.0)
    frame = here.take("a", "publish")
    assert (frame.bypass, frame.pixels[0, 0, 0]) == ("overload", 7)
    assert here.take("a", "publish") is None


def test_hopeless_frames_leave_at_once():
    cost = CostModel()
    for _ in range(3):  # the first runs of a size don't count
        cost.observe((4, 6), 1, 9.0)
    here = board(cost=cost)
    here.offer("a", live_frame(0, "a"), 0.0)
    here.work(0.0)  # the one that is tried
    here.offer("a", live_frame(1, "a"), 0.4)
    here.work(0.4)
    assert [here.take("a", "publish").index for _ in range(2)] == [0, 1]


def test_a_slow_writer_of_a_recording_holds_back_its_reader():
    here = board()
    for index in range(4):
        assert here.has_room("c")
        here.offer("c", live_frame(index, "c", bypass="corrupt"), 0.0)
        if index < 3:
            frame = here.take("c", "publish")
            here.settle("c", "publish", frame, 0.0, written=True)
    assert not here.has_room("c")  # four wait for the recording
    for _ in range(2):
        here.settle("c", "record", here.take("c", "record"), 0.0, written=True)
    assert here.has_room("c")


def test_a_frame_that_the_writer_lost_is_told_by_the_next():
    here = board()
    for index in range(2):
        here.offer("a", live_frame(index, "a", bypass="corrupt"), 0.0)
    here.settle("a", "publish", here.take("a", "publish"), 0.0, written=False)
    frame = here.take("a", "publish")
    assert frame.dropped == {"writer-error": 1}
    assert here.count("a").missing() == {"publish": 0, "record": 0}


def test_a_camera_comes_once():
    here = board()
    with pytest.raises(ValueError, match="already"):
        here.add("a", LANES["a"], {})


def test_a_writers_queue_holds_something():
    with pytest.raises(ValueError, match="at least one"):
        Outlet("publish", 0)
