"""Load from a tenth to four times what the network can do: every frame accounted for, always."""

import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from streamderain.client import Subscriber
from streamderain.config import RunConfig
from streamderain.inference.backend import NullBackend
from streamderain.live.service import LiveService
from streamderain.readers.capture import CaptureTime
from streamderain.readers.live import Captured
from tests.waiting import until

CAPACITY = 100.0
"""Frames a second of the network."""


class Steady(NullBackend):
    """A network of known speed."""

    name = "steady"

    def run(self, frames):
        time.sleep(len(frames) / CAPACITY)
        return frames


class Ramp:
    """A camera whose rate can be changed while it runs."""

    damaged, notes = 0, ()

    def __init__(self, load):
        self.load = load
        self.pixels = np.zeros((32, 48, 3), np.uint8)
        self.closed = threading.Event()

    def __iter__(self):
        index, due = 0, time.monotonic()
        while not self.closed.is_set():
            due += 1 / self.load["fps"]
            self.closed.wait(max(0.0, due - time.monotonic()))
            taken = CaptureTime(time.time_ns(), "arrival")
            yield Captured(0, index, Fraction(1, 1000), taken, False, lambda: self.pixels)
            index += 1

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        pass


@pytest.mark.parametrize("overload", ["pass", "drop"])
@pytest.mark.parametrize("policy", ["latest", "drop-oldest"])
def test_frames_are_conserved_at_every_sample_under_any_load(tmp_path, policy, overload):
    address, cameras, load = f"ipc://{tmp_path / 'a.ipc'}", 4, {"fps": 1.0}
    sources = []

    def connect(camera, source):
        sources.append(Ramp(load))
        return sources[-1]

    config = RunConfig.model_validate(
        {
            "model": "null",
            "defaults": {
                "gate": {"always": True},
                "policy": policy, "overload": overload, "staleness": "200ms",
                "outputs": [{"type": "zeromq", "address": address, "codec": "raw"}],
            },
            "cameras": {f"cam{index}": {"source": "scene"} for index in range(cameras)},
        }
    )  # fmt: skip
    service, broken, samples = LiveService(config, Steady(), connect=connect), [], 0
    seen = {}

    with Subscriber(address) as frames:
        taken = frames._take

        def check(header, payload):
            if header.decoded != header.seq + 1 + sum(header.dropped.values()):
                broken.append(header)
            taken(header, payload)

        frames._take = check
        service.start()
        try:
            until(lambda: len(sources) == cameras)
            for times in (0.1, 0.5, 1.0, 2.0, 4.0, 0.1):
                load["fps"] = times * CAPACITY / cameras
                before = {name: service.stats(name).count for name in service.cameras}
                ends = time.monotonic() + 1.2
                while time.monotonic() < ends:
                    for name in service.cameras:
                        count = service.stats(name).count
                        samples += 1
                        if any(count.missing().values()):
                            broken.append(count)
                        assert count.waiting <= 64
                    time.sleep(0.002)
                after = {name: service.stats(name).count for name in service.cameras}
                seen[times] = {
                    key: sum(
                        getattr(after[name], key) - getattr(before[name], key) for name in after
                    )
                    for key in ("decoded", "derained")
                }
            until(lambda: all(view.received for view in frames.cameras.values()))
        finally:
            for source in sources:
                source.closed.set()
            service.stop()
    assert not broken
    assert samples > 1000
    assert seen[4.0]["derained"] < 0.5 * seen[4.0]["decoded"]
    assert seen[0.5]["derained"] > 0.8 * seen[0.5]["decoded"]
    total = [service.stats(name).count for name in service.cameras]
    for count in total:
        assert count.waiting == count.outlets["publish"].waiting == 0
        assert set(count.dropped) == ({"overload"} if overload == "drop" else set())
        assert count.bypassed.keys() <= {"overload"}


@pytest.mark.alone
def test_a_slow_and_a_stopped_subscriber_cost_no_memory_and_nobody_elses_frames(tmp_path):
    """Of 200 frames of 1 MB, those that nobody reads must not pile up anywhere."""
    import resource

    import zmq

    address, load = f"ipc://{tmp_path / 'a.ipc'}", {"fps": 50.0}

    class Big(Ramp):
        def __init__(self, load):
            super().__init__(load)
            self.pixels = np.zeros((480, 720, 3), np.uint8)

    config = RunConfig.model_validate(
        {
            "model": "null",
            "cameras": {
                "big": {
                    "source": "scene",
                    "outputs": [{"type": "zeromq", "address": address, "codec": "raw"}],
                }
            },
        }
    )
    service = LiveService(config, NullBackend(), connect=lambda camera, source: Big(load))
    context = zmq.Context()
    stopped = context.socket(zmq.SUB)
    stopped.rcvhwm = 4
    stopped.subscribe("frame/")
    stopped.connect(address)
    with Subscriber(address) as healthy, Subscriber(address) as slow:
        service.start()
        try:
            until(lambda: healthy.cameras.get("big") and healthy.cameras["big"].received > 20)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            wanted = healthy.cameras["big"].received + 300
            while healthy.cameras["big"].received < wanted:
                assert slow.next(5) is not None
                time.sleep(1.0)
            view = healthy.cameras["big"]
            assert view.lost == 0
            assert sorted(view.ages_s)[len(view.ages_s) // 2] < 0.1
            late = slow.cameras["big"]
            assert late.lost == 0
            assert late.replaced > 0.9 * late.received
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert grown < 60 * 1024  # KiB; the frames were 300 MB
        finally:
            service.stop()
            context.destroy(linger=0)
