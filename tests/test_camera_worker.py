"""A camera: its sessions, faults, stuck connections and defects; the source is a list."""

import threading
from fractions import Fraction

import numpy as np
import pytest

from streamderain.channel import Cancelled
from streamderain.inference import past
from streamderain.inference.cost import CostModel
from streamderain.inference.gate import GateConfig
from streamderain.inference.prior import no_prior
from streamderain.inference.sharing import CameraBatcher
from streamderain.live.camera import LEAVING_S, MAX_STUCK, CameraWorker
from streamderain.live.exchange import Exchange
from streamderain.live.lane import LaneSettings
from streamderain.live.outlet import Outlet
from streamderain.live.supervision import GRACE_S, REFUSED_S, Backoff, Supervision
from streamderain.live.switchboard import Switchboard
from streamderain.readers.capture import CaptureTime
from streamderain.readers.live import (
    Captured,
    Shape,
    SourceLostError,
    SourceRefusedError,
    SourceWrongError,
)
from tests.waiting import until


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Source:
    """Gives pictures by a list; an exception in it is raised, an event is waited for."""

    damaged = 0

    def __init__(self, *steps):
        self.steps, self.notes, self.closed = steps, [], False

    def __iter__(self):
        for index, step in enumerate(self.steps):
            if isinstance(step, threading.Event):
                step.wait(20)
            elif isinstance(step, Exception):
                raise step
            else:
                yield captured(index, **(step or {}))

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.closed = True


def captured(index, part=0, corrupt=False, size=(20, 30), fps=25, lag_s=0.0, still=False):
    pixels = np.full((*size, 3), 0 if still else index, np.uint8)
    time = CaptureTime(10**18 + index, "pts")
    return Captured(
        part, index * 90000 // fps, Fraction(1, 90000), time, corrupt, lambda: pixels, lag_s
    )


class Rig:
    """A worker with its surroundings; connections come from a list."""

    def __init__(self, *sources, **settings):
        self.clock, self.sources, self.told = Clock(), list(sources), []
        self.opened = 0
        batcher = CameraBatcher(lambda height, width: 1, 0.0, CostModel())
        self.exchange = Exchange(Switchboard(batcher), self.clock)
        lane = settings.pop("lane", LaneSettings("latest", staleness_s=1e6))
        self.exchange.add("gate", lane, {"publish": Outlet("publish", 64)})
        self.worker = CameraWorker(
            "gate", self.open, self.exchange,
            Supervision(Backoff(1.0, 30.0, lambda: 1.0), timeout_s=10.0, stall_s=5.0),
            shape=settings.pop("shape", Shape()), tell=self.tell, clock=self.clock,
            **{"bypass": "null", **settings},
        )  # fmt: skip

    def open(self):
        self.opened += 1
        source = self.sources.pop(0)
        if isinstance(source, Exception):
            raise source
        return source

    def tell(self, name, change):
        self.told.append((change.state.value, change.message))

    def tend(self):
        self.worker.tend()
        return self

    def run(self):
        """Let the connection that is due run to its end."""
        self.tend()
        assert self.worker.join(10)
        return self.tend()

    def frames(self):
        found = []
        while (frame := self.exchange.take("gate", "publish", timeout=0)) is not None:
            found.append(frame)
            self.exchange.settle("gate", "publish", frame, written=True)
        return found


def test_frames_come_with_session_index_and_time():
    rig = Rig(Source(None, None, None), ends=True).run()
    frames = rig.frames()
    assert [(frame.session, frame.index, frame.decoded) for frame in frames] == [
        (0, 0, 1), (0, 1, 2), (0, 2, 3),
    ]  # fmt: skip
    assert (frames[1].t_capture_ns, frames[1].t_source) == (10**18 + 1, "pts")
    assert rig.worker.state() == ("ended", None)
    assert rig.told == [("live", None), ("ended", None)]


def test_a_change_of_format_is_a_new_session():
    source = Source(None, None, {"part": 1, "size": (40, 60)}, {"part": 1, "size": (40, 60)})
    frames = Rig(source, ends=True).run().frames()
    assert [(frame.session, frame.index, frame.size) for frame in frames] == [
        (0, 0, (20, 30)), (0, 1, (20, 30)), (1, 0, (40, 60)), (1, 1, (40, 60)),
    ]  # fmt: skip


def test_a_reconnect_is_a_new_session_and_the_count_goes_on():
    rig = Rig(Source(None, SourceLostError("gate was lost: reset")), Source(None)).run()
    assert rig.worker.state() == ("backoff", "gate was lost: reset")
    rig.clock.now += 1.0
    rig.run()
    assert [(f.session, f.index, f.decoded) for f in rig.frames()] == [(0, 0, 1), (1, 0, 2)]
    assert ("backoff", "gate was lost: reset") in rig.told


@pytest.mark.parametrize(
    ("fault", "state"),
    [(SourceRefusedError("refused"), "failed"), (SourceWrongError("no stream"), "failed"),
     (SourceLostError("no route"), "backoff")],
)  # fmt: skip
def test_faults_at_the_start_are_named_and_tried_again(fault, state):
    rig = Rig(fault, Source(None), ends=True).run()
    assert rig.worker.state() == (state, str(fault))
    rig.clock.now += REFUSED_S
    rig.run()
    assert len(rig.frames()) == 1


def test_a_defect_is_contained_reported_and_tried_again(caplog):
    rig = Rig(Source(None, RuntimeError("oops")), Source(None), ends=True).run()
    assert rig.worker.state() == ("failed", "unexpected RuntimeError: oops")
    assert "Traceback" in caplog.text
    rig.clock.now += REFUSED_S
    rig.run()
    assert len(rig.frames()) == 2


def test_a_stuck_connection_is_given_up_and_what_it_gives_later_is_not_taken():
    stuck = threading.Event()
    rig = Rig(Source(None, stuck, None, None), Source(None, None), ends=True)
    rig.tend()
    until(lambda: rig.worker.health.connects)
    until(lambda: rig.worker._supervision._waiting_since is not None)
    rig.clock.now += 5.0
    rig.tend()
    assert rig.worker.state() == ("stalled", "no frame for 5 s")
    rig.clock.now += GRACE_S
    rig.tend()
    assert rig.worker.state()[0] == "backoff"
    rig.clock.now += 1.0
    rig.run()
    stuck.set()
    until(lambda: not any(thread.is_alive() for thread in rig.worker._stuck))
    assert [frame.session for frame in rig.frames()] == [0, 1, 1]


def test_so_many_stuck_connections_and_no_more_are_made():
    stuck = threading.Event()
    rig = Rig(*[Source(stuck) for _ in range(MAX_STUCK + 1)])
    for _ in range(MAX_STUCK):
        rig.tend()
        rig.clock.now += 10 + GRACE_S
        rig.tend()
        rig.clock.now += 100
    rig.tend()
    assert rig.worker.state()[0] == "failed"
    assert "restart streamderain" in rig.worker.state()[1]
    assert rig.opened == MAX_STUCK
    stuck.set()
    until(lambda: not any(thread.is_alive() for thread in rig.worker._stuck))
    rig.clock.now += REFUSED_S
    rig.tend()
    until(lambda: rig.opened == MAX_STUCK + 1)


def test_a_reader_that_waits_for_its_consumer_is_not_stuck():
    lane = LaneSettings("block", capacity=2, staleness_s=None)
    rig = Rig(Source(None, None, None, None), ends=True, lane=lane, bypass=None)
    rig.tend()
    until(lambda: rig.exchange.count("gate").waiting == 2)
    rig.clock.now += 1e6
    rig.tend()
    assert rig.worker.state() == ("live", None)
    rig.exchange.cancel()
    assert rig.worker.join(5)


def test_frames_above_the_rate_are_left_out_by_name_before_they_are_converted():
    rig = Rig(Source(*[None] * 50), max_fps=5, ends=True).run()
    frames = rig.frames()
    assert len(frames) == 10
    assert [frame.index for frame in frames[:3]] == [0, 5, 10]
    assert frames[1].dropped == {"max_fps": 4}
    count = rig.exchange.count("gate")
    assert count.decoded == 50
    assert count.dropped == {"max_fps": 40}
    assert count.missing() == {"publish": 0}


def test_a_reader_that_stays_behind_leaves_frames_out_by_name():
    rig = Rig(Source(*[{"lag_s": 3.0}] * 40, None), ends=True, max_lag_s=0.5)
    offer = rig.exchange.offer

    def slowly(name, frame, prior):
        rig.clock.now += 0.1
        offer(name, frame, prior)

    rig.exchange.offer = slowly
    frames = rig.run().frames()
    assert [frame.index for frame in frames] == [*range(20), 40]
    assert frames[-1].dropped == {"late": 20}


def test_corrupt_frames_pass_marked_and_counted():
    rig = Rig(Source(None, {"corrupt": True}), ends=True, bypass=None).run()
    assert rig.worker.health.corrupt == 1
    assert rig.exchange.count("gate").waiting == 2  # behind the one that waits for the network


def test_a_region_is_cut_and_scaled():
    shape = Shape((4, 2, 20, 16), (10, 8))
    frames = Rig(Source(None), shape=shape, ends=True).run().frames()
    assert frames[0].pixels.shape == (8, 10, 3)


def test_a_region_beyond_the_picture_is_named():
    rig = Rig(Source(None), shape=Shape((20, 0, 20, 16))).run()
    state, message = rig.worker.state()
    assert state == "failed"
    assert "reaches beyond the picture of 30x20" in message


def test_a_file_that_loops_begins_anew_at_once():
    rig = Rig(Source(None), Source(None), loops=True).run()
    assert rig.worker.join(10)
    assert [frame.session for frame in rig.frames()] == [0, 1]


def test_after_it_was_stopped_nothing_is_connected_or_taken():
    rig = Rig(Source(None))
    rig.worker.stop()
    rig.tend()
    assert rig.opened == 0


def test_a_closed_exchange_ends_the_thread_without_a_fault():
    rig = Rig(Source(*[None] * 5))
    rig.exchange.close()
    rig.tend()
    assert rig.worker.join(5)
    with pytest.raises(Cancelled):
        rig.exchange.take("gate", "publish")


def test_a_paused_camera_hangs_up_and_comes_back_as_a_new_session():
    waits = threading.Event()
    first = Source(None, waits, None, None)
    rig = Rig(first, Source(None), ends=True)
    rig.tend()
    until(lambda: rig.worker.health.connects)
    rig.worker.pause()
    rig.tend()
    assert rig.worker.state() == ("paused", None)
    assert rig.worker.paused
    waits.set()
    assert rig.worker.join(10)
    assert first.closed
    rig.clock.now += 1e6
    rig.tend()
    assert rig.opened == 1
    rig.worker.resume()
    rig.run()
    assert [frame.session for frame in rig.frames()] == [0, 1]
    assert [state for state, _ in rig.told] == ["live", "paused", "live", "ended"]


def test_a_camera_that_comes_back_waits_for_its_old_connection_to_be_gone_but_not_for_ever():
    waits = threading.Event()
    rig = Rig(Source(None, waits, None), Source(None))
    rig.tend()
    until(lambda: rig.worker.health.connects)
    rig.worker.pause()
    rig.worker.resume()
    rig.tend()
    assert rig.opened == 1  # the first one still hangs up
    rig.clock.now += LEAVING_S
    rig.tend()
    until(lambda: rig.opened == 2)
    waits.set()


STILL = {"size": (48, 64), "still": True}


def test_a_camera_that_is_never_to_be_derained_passes_all_and_still_measures_the_rain():
    rig = Rig(Source(*[STILL] * 5), ends=True, bypass=None, gate=GateConfig())
    rig.worker.mode = "off"
    frames = rig.run().frames()
    assert {frame.bypass for frame in frames} == {"off"}
    assert frames[-1].rain is not None
    assert rig.worker.raining is not None


def test_a_camera_that_is_always_to_be_derained_gives_dry_frames_to_the_network_too():
    found = {}
    for mode in ("auto", "on"):
        offered = found[mode] = []
        rig = Rig(Source(*[STILL] * 8), ends=True, bypass=None, gate=GateConfig(hold=1))
        rig.exchange.offer = lambda name, frame, prior, offered=offered: offered.append(frame)
        rig.worker.mode = mode
        rig.run()
        assert rig.worker.raining is False
        assert offered[-1].rain is not None
    assert found["auto"][-1].bypass == "dry"
    assert {frame.bypass for frame in found["on"]} == {None}


def test_another_network_gets_its_frames_as_it_wants_them_from_the_next_one_on():
    offered = []
    waits = threading.Event()
    rig = Rig(Source(None, None, waits, None, None), ends=True)
    rig.exchange.offer = lambda name, frame, prior: offered.append((frame.bypass, prior))
    rig.tend()
    until(lambda: len(offered) == 2)
    rig.worker.adapt(None, remembers=True, planes=True)
    waits.set()
    assert rig.worker.join(10)
    assert offered[:2] == [("null", None)] * 2
    assert [(bypass, prior is None) for bypass, prior in offered[2:]] == [(None, False)] * 2


def test_priors_are_made_beforehand_only_while_the_network_takes_them(monkeypatch):
    made = []
    monkeypatch.setattr(past, "estimate", lambda *given: made.append(given) or no_prior(given[0]))
    took = {2, 3, 5}
    rig = Rig(Source(*[None] * 7), ends=True, bypass=None)
    rig.worker.adapt(None, remembers=True, planes=True)
    seen = []

    def offer(name, frame, recalled):
        seen.append((len(made), recalled.used))
        if frame.index in took:
            recalled.use()

    rig.exchange.offer = offer
    rig.run()
    assert not any(used for _, used in seen)
    # The first, and the fifth, after two that were taken; the network made the others itself.
    assert [count for count, _ in seen] == [1, 1, 1, 2, 4, 4, 5]
    assert len(made) == 5
