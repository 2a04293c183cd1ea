"""A live network that begins the next batch before one is done, and loses none."""

import threading

import pytest

from tests.test_engine import Adding, Rig
from tests.waiting import until


class Ahead(Adding):
    """One that begins ahead; a batch ends when it is let go on."""

    lanes = 2

    def can_start(self, count, height, width):
        return count > 1

    def __init__(self, number, broken=()):
        super().__init__(number)
        self.begun, self.ended, self.broken = [], 0, set(broken)

    def start(self, frames):
        assert not self.closed
        self.begun.append(len(frames))
        if len(self.begun) in self.broken:
            raise ValueError("not of this shape")
        given = frames.copy()

        def finish():
            found = self.run(given)
            self.ended += 1
            return found

        return finish


class Queued(Rig):
    """A rig whose network waits until as many frames as are asked for are there."""

    def __init__(self, backend, frames):
        super().__init__(backend)
        for _ in range(frames):
            self.offer()

    def shown(self, count):
        return [(frame.index, frame.derained) for frame in (self.take() for _ in range(count))]


def test_the_next_batch_begins_before_one_is_done():
    backend = Ahead(10)
    backend.go_on.clear()
    with Queued(backend, 6) as rig:
        until(lambda: len(backend.begun) == 2)
        assert backend.ended == 0
        backend.go_on.set()
        assert rig.shown(6) == [(index, True) for index in range(6)]
        assert backend.begun == [2, 2, 2]
        assert rig.engine.report().batches == {2: 3}


def test_a_frame_with_none_after_it_is_not_held_up():
    with Queued(Ahead(10), 0) as rig:
        for number in range(3):  # the next one comes when the one before has left
            frame = rig.send()
            assert (frame.index, frame.derained) == (number, True)


@pytest.mark.parametrize("broken", [1, 2])
def test_a_batch_that_cannot_begin_passes_as_it_came_and_the_other_is_cleaned(broken):
    backend = Ahead(10, broken=[broken])
    with Queued(backend, 4) as rig:
        frames = [rig.take() for _ in range(4)]
        failed = [frame.index for frame in frames if not frame.derained]
        assert failed == ([0, 1] if broken == 1 else [2, 3])
        assert {frame.bypass for frame in frames if not frame.derained} == {"failed"}
        assert rig.send().derained


def test_a_network_is_closed_when_the_last_of_its_batches_is_done():
    old, new = Ahead(10), Ahead(20)
    old.go_on.clear()
    with Queued(old, 4) as rig:
        until(lambda: len(old.begun) == 2)
        reload = threading.Thread(target=rig.engine.reload, args=(lambda: new, rig.exchange))
        reload.start()
        until(lambda: rig.engine.report().name == "adding-20")
        assert not old.closed
        old.go_on.set()
        assert [frame.model for frame in (rig.take() for _ in range(4))] == ["adding-10"] * 4
        reload.join(10)
        assert old.closed
        assert rig.send().model == "adding-20"


def test_what_is_under_way_when_all_ends_is_waited_for():
    backend = Ahead(10)
    backend.go_on.clear()
    rig = Queued(backend, 2)
    with rig:
        until(backend.busy.is_set)
        rig.exchange.cancel()
        backend.go_on.set()
    assert backend.ended == 1
    assert not rig.engine._running


def test_what_a_batch_takes_is_learnt_without_what_it_waits_for_another():
    backend, now = Ahead(10), [0.0]

    class Timed(Queued):
        def __init__(self):
            Rig.__init__(self, backend)
            self.engine._clock = lambda: now[0]

    def run(frames):  # each takes 0.1 s, one after the other
        now[0] += 0.1
        return frames[..., :3]

    backend.run = run
    rig = Timed()
    for _ in range(8):
        rig.offer()
    with rig:
        assert len(rig.shown(8)) == 8
        assert backend.begun == [2, 2, 2, 2]
        assert rig.engine._loaded.cost.expected((4, 6), 2) == pytest.approx(0.1)
