"""The network that runs, and another one that takes its place while frames come."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from streamderain.errors import ModelError
from streamderain.inference.backend import VIDEO, NullBackend
from streamderain.live import engine as engine_module
from streamderain.live.engine import Engine, Needs, Priors
from streamderain.live.exchange import Exchange
from streamderain.live.lane import LaneSettings
from streamderain.live.outlet import Outlet
from streamderain.live.switchboard import Switchboard
from tests.live_frames import live_frame
from tests.waiting import until


def empty(*size):
    return np.zeros((*size, 3), np.uint8)


class Adding(NullBackend):
    """A network that adds a number, and says whether it was closed, and how it was used."""

    def __init__(self, number, name="adding"):
        super().__init__()
        self.number, self.name = number, f"{name}-{number}"
        self.closed, self.sizes = False, []
        self.busy, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def run(self, frames):
        assert not self.closed
        self.sizes.append(frames.shape)
        self.busy.set()
        assert self.go_on.wait(20)
        self.busy.clear()
        return frames[..., :3] + np.uint8(self.number)

    def close(self):
        assert not self.busy.is_set()
        self.closed = True


class Remembering(Adding):
    inputs = VIDEO


class Rig:
    def __init__(self, backend):
        self.engine = Engine(backend, batch=2, batch_wait=0.0)
        self.exchange = Exchange(Switchboard(self.engine.batcher))
        lane = LaneSettings("drop-oldest", capacity=8, staleness_s=30.0)
        self.exchange.add("gate", lane, {"publish": Outlet("publish", 64)})
        self.thread = threading.Thread(target=self.engine.run, args=(self.exchange,), daemon=True)
        self.sent = 0

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *reason):
        self.exchange.cancel()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.engine.close()

    def offer(self):
        self.exchange.offer("gate", live_frame(self.sent))
        self.sent += 1

    def send(self):
        """Send a frame through; return it as it leaves."""
        self.offer()
        return self.take()

    def take(self):
        frame = self.exchange.take("gate", "publish", timeout=10)
        self.exchange.settle("gate", "publish", frame, written=True)
        return frame


def test_another_network_takes_over_and_the_old_one_is_closed():
    old, new = Adding(10), Remembering(20)
    told = []
    with Rig(old) as rig:
        assert rig.send().model == "adding-10"
        rig.engine.reload(lambda: new, rig.exchange, [empty(4, 6)], told.append)
        frame = rig.send()
        assert (frame.model, frame.pixels[0, 0, 0]) == ("adding-20", 21)
        assert old.closed
        assert told == [Needs(None, remembers=True, planes=False)]
        assert rig.engine.needs == told[0]
        report = rig.engine.report()
        assert (report.name, report.reloads, report.runs, report.batches) == (
            "adding-20", 1, 1, {1: 1},
        )  # fmt: skip
    assert new.closed  # it was opened here


def test_a_network_that_the_caller_opened_stays_open():
    backend = Adding(1)
    with Rig(backend) as rig:
        rig.send()
    assert not backend.closed


def test_it_is_tried_twice_with_all_that_comes_often_before_it_takes_over():
    old, new = Adding(10), Adding(20)
    with Rig(old) as rig:
        old.go_on.clear()
        rig.offer()
        assert old.busy.wait(10)
        rig.offer()
        rig.offer()
        old.go_on.set()
        until(lambda: rig.engine.report().batches == {1: 1, 2: 1})
        rig.engine.reload(lambda: new, rig.exchange, [empty(4, 6), empty(8, 8), empty(4, 6)])
        assert new.sizes == [
            (count, *size, 3) for size in ((4, 6), (8, 8)) for count in (1, 1, 2, 2)
        ]


def test_a_run_that_has_begun_is_ended_by_the_network_that_began_it():
    old, new = Adding(10), Adding(20)
    old.go_on.clear()
    with Rig(old) as rig:
        rig.offer()
        assert old.busy.wait(10)
        reload = threading.Thread(target=rig.engine.reload, args=(lambda: new, rig.exchange))
        reload.start()
        until(lambda: rig.engine.report().name == "adding-20")
        assert not old.closed
        old.go_on.set()
        reload.join(10)
        assert rig.take().model == "adding-10"
        assert old.closed
        assert rig.send().model == "adding-20"


class Broken(Adding):
    def run(self, frames):
        raise ValueError("not of this shape")


def missing():
    raise ModelError("no model is named 'x'")


@pytest.mark.parametrize(
    ("opened", "words"),
    [(missing, "no model is named"), (lambda: Broken(20), "adding-20 does not run: not of this")],
)
def test_where_the_new_one_cannot_be_had_the_old_one_goes_on(opened, words):
    old = Adding(10)
    with Rig(old) as rig:
        with pytest.raises(ModelError, match=words):
            rig.engine.reload(opened, rig.exchange, [empty(4, 6)])
        assert rig.send().model == "adding-10"
        assert rig.engine.report().reloads == 0


def test_one_network_is_loaded_at_a_time():
    begun, go_on = threading.Event(), threading.Event()

    def slowly():
        begun.set()
        assert go_on.wait(10)
        return Adding(20)

    with Rig(Adding(10)) as rig:
        reload = threading.Thread(target=rig.engine.reload, args=(slowly, rig.exchange))
        reload.start()
        assert begun.wait(10)
        with pytest.raises(ModelError, match="just being loaded"):
            rig.engine.reload(lambda: Adding(30), rig.exchange)
        go_on.set()
        reload.join(10)
        assert rig.engine.report().name == "adding-20"


def test_a_network_that_takes_long_to_load_holds_up_no_end_and_is_closed_when_it_is_there(
    monkeypatch,
):
    monkeypatch.setattr(engine_module, "RELOAD_S", 0.2)
    begun, go_on, said = threading.Event(), threading.Event(), []
    first, second, late = Adding(10), Adding(20), Adding(30)

    def slowly():
        begun.set()
        assert go_on.wait(60)
        return late

    def reload():
        try:
            rig.engine.reload(slowly, rig.exchange)
        except ModelError as error:
            said.append(str(error))

    with Rig(first) as rig:
        rig.engine.reload(lambda: second, rig.exchange)
        thread = threading.Thread(target=reload, daemon=True)
        thread.start()
        assert begun.wait(10)
        rig.exchange.cancel()
        rig.thread.join(10)
        closing = threading.Thread(target=rig.engine.close, daemon=True)
        closing.start()
        closing.join(30)
        was_held_up = closing.is_alive()
        go_on.set()
        thread.join(10)
        assert not was_held_up
        assert (second.closed, late.closed) == (True, True)
        assert said == ["streamderain is stopping; no other model is loaded any more"]
        assert rig.engine.report().name == "adding-20"


def test_frames_that_waited_when_the_network_was_taken_away_leave_as_they_came():
    old = Adding(10)
    old.go_on.clear()
    with Rig(old) as rig:
        rig.offer()
        assert old.busy.wait(10)
        rig.offer()
        reload = threading.Thread(target=rig.engine.reload, args=(NullBackend, rig.exchange))
        reload.start()
        until(lambda: rig.engine.report().name == "null")
        old.go_on.set()
        reload.join(10)
        first, second = rig.take(), rig.take()
        assert (first.derained, first.model, first.bypass) == (True, "adding-10", None)
        assert (second.derained, second.model, second.bypass) == (False, None, "null")
        count = rig.exchange.count("gate")
        assert (count.derained, count.bypassed) == (1, {"null": 1})


def test_no_frame_is_lost_or_passed_over_while_networks_change_under_load():
    with Rig(Adding(1)) as rig:
        over = threading.Event()

        def swap():
            for number in range(2, 22):
                rig.engine.reload(lambda number=number: Adding(number), rig.exchange)
            over.set()

        threading.Thread(target=swap, daemon=True).start()
        while not over.is_set():
            assert rig.send().derained
        assert not any(rig.exchange.count("gate").missing().values())
        assert rig.engine.report().reloads == 20


def test_what_the_past_says_of_several_frames_is_made_at_the_same_time():
    both = threading.Barrier(2)

    class Meeting:
        def use(self):
            both.wait(20)
            return "known"

    tickets = [SimpleNamespace(prior=prior) for prior in (Meeting(), None, Meeting())]
    with Priors() as priors:
        assert priors.of(tickets) == ["known", None, "known"]
        assert priors.of([tickets[1]]) == [None]
