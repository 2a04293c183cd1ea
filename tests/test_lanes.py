"""Frames side by side: in order, one batch after the other without a gap, and each fails alone."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.inference.openvino_lanes import Lanes


class Request:
    """A request that is done when its network says so; it notes what is asked of it."""

    def __init__(self, network):
        self.network, self.frame, self.busy = network, None, False

    def start_async(self):
        assert not self.busy, "one frame at a time"
        self.busy = True
        self.network.log.append(("start", self.frame))
        self.network.most = max(self.network.most, sum(r.busy for r in self.network.requests))

    def wait(self):
        assert self.busy
        if self.network.interrupts:
            self.network.interrupts -= 1
            raise KeyboardInterrupt
        self.busy = False
        self.network.log.append(("wait", self.frame))
        if self.frame in self.network.broken:
            raise RuntimeError(f"frame {self.frame} is broken")


class Network:
    def __init__(self, broken=()):
        self.requests, self.log, self.most, self.broken = [], [], 0, set(broken)
        self.interrupts = 0

    def create_infer_request(self):
        self.requests.append(Request(self))
        return self.requests[-1]


class Frames:
    """Frames by their numbers; ``taken`` has what came out, by place."""

    refused = None

    def __init__(self, *numbers, unreadable=()):
        self.numbers, self.count, self.taken = numbers, len(numbers), {}
        self.unreadable = unreadable

    def fill(self, request, first, count):
        assert count == 1
        if self.numbers[first] in self.unreadable:
            raise MemoryError(f"no room for frame {self.numbers[first]}")
        request.frame = self.numbers[first]

    def take(self, request, first, count):
        assert count == 1
        self.taken[first] = request.frame


def test_the_next_batch_begins_while_the_last_frames_of_one_are_under_way():
    network = Network()
    lanes = Lanes(network, 2)
    one, two = Frames(0, 1, 2, 3), Frames(4, 5, 6, 7)
    first = lanes.begin(one)
    assert first.left == 3  # two run, one waits with its pixels packed
    second = lanes.begin(two)
    started = [frame for what, frame in network.log if what == "start"]
    assert started == list(range(8))
    assert network.log.index(("start", 4)) < network.log.index(("wait", 2))
    assert first.left == 0
    lanes.end(first)
    lanes.end(second)
    assert one.taken == {0: 0, 1: 1, 2: 2, 3: 3}
    assert two.taken == {0: 4, 1: 5, 2: 6, 3: 7}
    assert network.most == 3


def test_what_fails_is_told_to_those_whose_it_is_and_to_nobody_else():
    lanes = Lanes(Network(broken=[1, 3]), 2)
    one, two = Frames(0, 1, 2, 3), Frames(4, 5)
    first, second = lanes.begin(one), lanes.begin(two)
    lanes.end(second)
    assert two.taken == {0: 4, 1: 5}
    with pytest.raises(RuntimeError, match="frame 1 is broken"):  # the first that failed
        lanes.end(first)
    third = Frames(6, 7, 8, 9)
    lanes.end(lanes.begin(third))
    assert third.taken == {0: 6, 1: 7, 2: 8, 3: 9}


def test_a_batch_that_cannot_begin_leaves_its_requests_for_the_next():
    network = Network()
    lanes = Lanes(network, 2)
    with pytest.raises(MemoryError, match="no room for frame 2"):
        lanes.begin(Frames(0, 1, 2, 3, unreadable=[2]))
    after = Frames(4, 5, 6, 7)
    lanes.end(lanes.begin(after))
    assert after.taken == {0: 4, 1: 5, 2: 6, 3: 7}
    assert len(network.requests) == 3


def test_whoever_is_interrupted_leaves_the_requests_to_the_next():
    network = Network()
    lanes = Lanes(network, 2)
    run = lanes.begin(Frames(0, 1, 2))
    network.interrupts = 2
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            lanes.end(run)
    for first in (3, 7, 11):
        after = Frames(*range(first, first + 4))
        lanes.end(lanes.begin(after))
        assert list(after.taken.values()) == list(after.numbers)
    assert len(network.requests) == 3


def test_what_failed_is_held_by_nothing():
    network = Network(broken=[0])
    lanes = Lanes(network, 2)
    with pytest.raises(RuntimeError):
        lanes.end(lanes.begin(Frames(0, 1)))
    kept = weakref.ref(lanes)
    gc.disable()
    try:
        del lanes
        assert kept() is None
    finally:
        gc.enable()


@given(st.lists(st.integers(1, 7), max_size=12), st.integers(1, 4), st.integers(0, 2))
def test_any_batches_come_out_whole_and_never_more_run_than_there_are_requests(sizes, count, ahead):
    network = Network()
    lanes = Lanes(network, count)
    under_way, done = [], []
    number = 0
    for size in sizes:
        under_way.append(lanes.begin(Frames(*range(number, number + size))))
        number += size
        if len(under_way) > ahead:
            lanes.end(under_way[0])
            done.append(under_way.pop(0).feed)
    for run in under_way:
        lanes.end(run)
        done.append(run.feed)
    assert [frame for feed in done for _, frame in sorted(feed.taken.items())] == list(
        range(number)
    )
    assert network.most <= count + 1
