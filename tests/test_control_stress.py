"""Fifty changes of cameras: nothing is left behind, and nobody else notices."""

import gc
import random
import threading
from collections import Counter
from pathlib import Path

import pytest

from streamderain.client import Subscriber
from streamderain.config import CameraConfig, RunConfig
from streamderain.inference.backend import NullBackend
from streamderain.live.camera import CameraWorker
from streamderain.live.desk import Desk
from streamderain.live.outlet import Outlet
from streamderain.live.service import LiveService
from streamderain.live.unit import Unit
from tests.clips import make_clip
from tests.waiting import until

CHANGES = 50

MEMORY_KB = 40_000
"""What the allocators may keep: a leak of one camera's frames and threads a change is more."""


class Brightening(NullBackend):
    name = "brightening"

    def run(self, frames):
        return frames + 1


def left_behind():
    """Count what a camera is made of."""
    gc.collect()
    kinds = (Unit, CameraWorker, Desk, Outlet)
    found = Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, kinds))
    threads = sorted(thread.name for thread in threading.enumerate())
    return {**found, "threads": threads}


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident_kb():
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1])


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "a.mp4", frames=50)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="/proc says what is open; no /proc")
def test_fifty_cameras_that_come_and_go_leave_nothing_behind(tmp_path, clip):
    shared = f"ipc://{tmp_path / 'shared'}"

    def camera(number):
        kinds = (
            {"type": "zeromq", "address": shared, "codec": "raw"},
            {"type": "zeromq", "address": f"ipc://{tmp_path / str(number)}", "codec": "raw"},
            {"type": "record", "folder": str(tmp_path / "records" / "{camera}")},
        )
        outputs = [kinds[number % 3], kinds[(number + 1) % 3]][: 1 + number % 2]
        source = str(clip) if number % 5 else str(tmp_path / "missing.mp4")
        policy = ("latest", "block", "drop-oldest")[number % 3]
        return CameraConfig.model_validate(
            {"source": source, "outputs": outputs, "policy": policy, "resize": f"{32 + number}x32"}
        )

    base = {"source": str(clip), "outputs": [{"type": "zeromq", "address": shared, "codec": "raw"}]}
    config = RunConfig.model_validate(
        {"model": "null", "defaults": {"gate": {"always": True}}, "cameras": {"base": base}}
    )
    rng = random.Random(7)
    service = LiveService(config, Brightening())
    with Subscriber(shared, cameras=["base"]) as frames:
        service.start()
        control = service.control
        until(lambda: (view := frames.cameras.get("base")) and view.received > 3, 30)
        try:
            # One round first: encoders and allocators keep what they have had once.
            for number in range(3):
                control.put("x", camera(number))
            control.remove("x")
            before, open_before, memory = left_behind(), descriptors(), resident_kb()
            run = frames.cameras["base"].last.run
            for number in range(CHANGES):
                name = rng.choice("xyz")
                if name in service.cameras and rng.random() < 0.3:
                    control.remove(name)
                else:
                    control.put(name, camera(number))
                if rng.random() < 0.3 and name in service.cameras:
                    control.steer(name, paused=rng.random() < 0.5, mode=rng.choice(["on", "off"]))
                if rng.random() < 0.6 and name in service.cameras:  # else it goes at once again
                    control.wait_pair(name, 0, 0.5)
                for report in control.cameras():
                    assert not any(report.stats.count.missing().values())
            for name in [name for name in service.cameras if name != "base"]:
                control.remove(name)
            until(lambda: left_behind() == before, 20)
            until(lambda: descriptors() <= open_before, 20)
            assert resident_kb() - memory < MEMORY_KB
            assert set(service.addresses) == {shared}
            view = frames.cameras["base"]
            assert (view.lost, view.restarts, view.last.run) == (0, 0, run)
            assert control.camera("base").stats.connects == 1
        finally:
            service.stop()


def test_many_hands_at_once_change_cameras_without_getting_in_each_others_way(tmp_path, clip):
    shared = f"ipc://{tmp_path / 'shared'}"
    output = {"type": "zeromq", "address": shared, "codec": "raw"}
    plain = {"source": str(clip), "outputs": [output]}
    config = RunConfig.model_validate({"model": "null", "cameras": {"base": plain}})
    service, wrong = LiveService(config, Brightening()), []

    def change(name):
        rng = random.Random(name)
        try:
            for number in range(8):
                settings = {**plain, "resize": f"{32 + rng.randrange(64)}x32"}
                service.control.put(name, CameraConfig.model_validate(settings))
                service.control.steer(name, mode=rng.choice(["auto", "on", "off"]))
                assert service.control.camera(name).camera == name
                service.control.wait_pair(name, 0, 0.05)
                if number % 3 == 2:
                    service.control.remove(name)
        except BaseException as error:
            wrong.append(error)
            raise

    service.start()
    hands = [threading.Thread(target=change, args=(name,)) for name in ("x", "y", "z")]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join(60)
        assert not hand.is_alive()
    until(lambda: all(r.stats.count.decoded > 3 for r in service.control.cameras()), 30)
    service.stop()
    assert not wrong
    for report in service.control.cameras():
        assert not any(report.stats.count.missing().values())
        assert report.queue == 0
