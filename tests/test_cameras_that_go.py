"""Cameras that come and go in the switchboard: conserved, and out of each other's way."""

import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.channel import Cancelled
from streamderain.inference.cost import CostModel
from streamderain.inference.sharing import CameraBatcher
from streamderain.live.exchange import Exchange
from streamderain.live.lane import LaneSettings
from streamderain.live.outlet import Outlet
from streamderain.live.switchboard import REMOVED, Switchboard
from tests.live_frames import live_frame
from tests.waiting import until

NAMES = ("a", "b")
LANES = {
    "a": LaneSettings("latest", staleness_s=0.3),
    "b": LaneSettings("block", capacity=4, staleness_s=None),
}


def batcher(limit=3):
    return CameraBatcher(lambda height, width: limit, 0.0, CostModel())


def board(**settings):
    return Switchboard(batcher(**settings))


def outlets():
    return {"publish": Outlet("publish", 2), "record": Outlet("record", 5)}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("decode"), st.sampled_from(NAMES)),
        st.tuples(st.just("decode"), st.sampled_from(NAMES)),
        st.tuples(st.just("bypass"), st.sampled_from(NAMES)),
        st.tuples(st.just("start"), st.none()),
        st.tuples(st.just("finish"), st.booleans()),
        st.tuples(st.just("take"), st.tuples(st.sampled_from(NAMES), st.booleans())),
        st.tuples(st.just("settle"), st.booleans()),
        st.tuples(st.just("change"), st.sampled_from(NAMES)),
        st.tuples(st.just("retire"), st.sampled_from(NAMES)),
        st.tuples(st.just("sleep"), st.floats(0, 0.4)),
    ),
    max_size=120,
)


@settings(max_examples=200)
@given(events=EVENTS)
def test_frames_are_conserved_over_every_change_of_a_camera(events):
    here, now, number = board(), 0.0, 0
    keys, decoded, running, writing = {}, Counter(), [], []

    def change(name):
        nonlocal number
        if name in keys:
            last = here.remove(keys[name])
            assert last.count.decoded == decoded[keys[name]]
            assert not any(last.count.missing().values())
            assert last.count.waiting == last.queue == 0
            assert not any(outlet.waiting for outlet in last.count.outlets.values())
        number += 1
        keys[name] = f"{name}/{number}"
        here.add(keys[name], LANES[name], outlets())

    def check():
        for key in keys.values():
            count = here.count(key)
            assert count.decoded == decoded[key]
            assert not any(count.missing().values())

    for name in NAMES:
        change(name)
    for kind, what in events:
        if kind in ("decode", "bypass"):
            key = keys[what]
            if here.is_open(key) and here.has_room(key):
                bypass = "corrupt" if kind == "bypass" else None
                here.offer(key, live_frame(decoded[key], what, bypass=bypass), now)
                decoded[key] += 1
        elif kind == "start":
            if tickets := here.work(now).tickets:
                running.append(tickets)
        elif kind == "finish" and running:
            tickets = running.pop(0)
            pixels = [ticket.frame.pixels + 1 for ticket in tickets] if what else None
            here.finish(tickets, pixels, "net", now)
        elif kind == "take":
            name, record = what
            outlet = "record" if record else "publish"
            frame = here.take(keys[name], outlet)
            if frame is not None:
                writing.append((keys[name], outlet, frame))
        elif kind == "settle" and writing:
            key, outlet, frame = writing.pop(0)
            here.settle(key, outlet, frame, now, written=what)
        elif kind == "change":
            change(what)
        elif kind == "retire":
            here.retire(keys[what])
        elif kind == "sleep":
            now += what
            here.sweep(now)
        check()


def test_what_is_under_way_when_a_camera_goes_is_dropped_by_name():
    here = board(limit=1)
    here.add("a/1", LANES["b"], outlets())
    for index in range(3):
        bypass = "corrupt" if index == 0 else None
        here.offer("a/1", live_frame(index, "a", bypass=bypass), 0.0)
    here.take("a/1", "publish")
    here.work(0.0)
    count = here.remove("a/1").count
    assert count.dropped == {REMOVED: 2}
    assert {name: outlet.dropped for name, outlet in count.outlets.items()} == {
        "publish": {REMOVED: 1}, "record": {REMOVED: 1},
    }  # fmt: skip
    assert "a/1" not in here


def test_what_comes_late_for_a_camera_that_was_changed_does_not_touch_the_new_one():
    here = board()
    here.add("a/1", LANES["a"], outlets())
    here.offer("a/1", live_frame(0, "a", bypass="corrupt"), 0.0)
    here.offer("a/1", live_frame(1, "a"), 0.0)
    written, tickets = here.take("a/1", "publish"), here.work(0.0).tickets
    here.remove("a/1")
    here.add("a/2", LANES["a"], outlets())
    here.offer("a/2", live_frame(0, "a", bypass="corrupt"), 0.0)
    here.finish(tickets, [ticket.frame.pixels for ticket in tickets], "net", 0.1)
    here.settle("a/1", "publish", written, 0.1, written=True)
    count = here.count("a/2")
    assert (count.decoded, count.derained, count.outlets["publish"].written) == (1, 0, 0)


def test_versions_of_what_viewers_see_grow_over_a_change():
    here = board()
    here.add("a/1", LANES["a"], outlets())
    here.offer("a/1", live_frame(7, "a"), 0.0)
    tickets = here.work(0.0).tickets
    assert here.newest("a/1") is None
    here.finish(tickets, [tickets[0].frame.pixels + 5], "net", 0.1)
    first = here.newest("a/1")
    assert (first.before[0, 0, 0], first.after[0, 0, 0]) == (7, 12)
    assert first.frame.derained
    here.remove("a/1")
    here.add("a/2", LANES["a"], outlets())
    here.offer("a/2", live_frame(1, "a", bypass="dry"), 0.0)
    second = here.newest("a/2")
    assert second.version > first.version
    assert second.before is second.after


def test_stages_are_measured_from_arrival_to_the_first_outputs_end():
    here = board()
    here.add("a", LANES["b"], outlets())
    here.offer("a", live_frame(0, "a"), 10.0)
    tickets = here.work(10.03).tickets
    here.finish(tickets, [tickets[0].frame.pixels], "net", 10.1)
    publish, record = here.take("a", "publish"), here.take("a", "record")
    here.settle("a", "record", record, 12.0, written=True)
    here.settle("a", "publish", publish, 10.11, written=True)
    latency = here.figures("a").latency
    totals = {stage: round(found.total, 3) for stage, found in latency.items()}
    assert totals == {"wait": 0.03, "network": 0.07, "write": 0.01, "total": 0.11}
    assert {found.frames for found in latency.values()} == {1}


def test_a_camera_that_goes_gives_up_its_turn():
    here = board(limit=1)
    for name in ("a/1", "b/1"):
        here.add(name, LANES["b"], outlets())
    here.offer("a/1", live_frame(0, "a"), 0.0)
    assert here.work(0.0).tickets
    here.remove("a/1")
    assert here._batcher._turns == {}


@pytest.fixture
def exchange():
    here = Exchange(board())
    here.add("a/1", LANES["b"], outlets())
    yield here
    here.cancel()


def ends(job):
    """Start a job; return a function that says whether it was cancelled."""
    said = []

    def run():
        try:
            job()
        except Cancelled:
            said.append(True)

    threading.Thread(target=run, daemon=True).start()
    return lambda: said


@pytest.mark.parametrize(
    "job",
    [
        lambda here: here.take("a/1", "publish"),
        lambda here: here.wait_newest("a/1", 0, 20.0),
        lambda here: [here.offer("a/1", live_frame(n, "a")) for n in range(9)],
    ],
)
def test_whoever_waits_for_a_camera_is_told_that_it_is_gone(exchange, job):
    ended = ends(lambda: job(exchange))
    exchange.remove("a/1")
    until(ended)
    for late in (
        lambda: exchange.take("a/1", "publish"),
        lambda: exchange.offer("a/1", live_frame(0, "a")),
        lambda: exchange.skip("a/1", "max_fps"),
        lambda: exchange.wait_newest("a/1", 0, 1.0),
    ):
        with pytest.raises(Cancelled):
            late()
    assert exchange.figures("a/1") is None
    assert exchange.drain("a/1", 0.0)


def test_a_retired_camera_takes_nothing_more_and_its_writers_end_when_all_is_written(exchange):
    exchange.offer("a/1", live_frame(0, "a", bypass="corrupt"))
    exchange.retire("a/1")
    with pytest.raises(Cancelled):
        exchange.offer("a/1", live_frame(1, "a"))
    assert not exchange.drain("a/1", 0.0)
    for outlet in ("publish", "record"):
        frame = exchange.take("a/1", outlet)
        exchange.settle("a/1", outlet, frame, written=True)
    assert exchange.drain("a/1", 0.0)
    with pytest.raises(Cancelled):
        exchange.take("a/1", "publish")
    assert exchange.count("a/1").missing() == {"publish": 0, "record": 0}


def test_the_timekeeper_is_woken_only_where_its_alarm_comes_too_late(exchange):
    exchange.add("b/1", LANES["a"], outlets())
    keeper = threading.Thread(target=exchange.keep_time, daemon=True)
    keeper.start()
    until(lambda: exchange._sleeps_until == float("inf"))
    woken = []
    real = exchange._due.notify
    exchange._due.notify = lambda n=1: (woken.append(n), real(n))
    exchange.offer("b/1", live_frame(0, "b"))  # its deadline is the first one
    until(lambda: exchange._sleeps_until not in (float("inf"), float("-inf")))
    for index in range(1, 4):
        exchange.offer("b/1", live_frame(index, "b"))
    assert len(woken) == 1
    exchange._due.notify = real
    until(lambda: exchange.count("b/1").bypassed == {"overload": 4})
