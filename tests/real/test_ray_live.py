"""Live cameras over a real Ray cluster of two nodes on this machine, one of which dies."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from streamderain.client import Subscriber
from tests.clips import make_clip
from tests.real.ray_nodes import Nodes
from tests.real.servers import RtspCameras, need_gstreamer
from tests.waiting import until

pytest.importorskip("ray", reason="needs streamderain[ray]")

LONG = 90.0
"""Seconds that anything may take on a machine that others use as well."""

BACK = 15.0
"""Seconds within which cameras are back, on a machine that is ours."""

PAIRS = ({"gate", "yard"}, {"file", "again"})
"""Cameras that share a worker."""


def is_quiet():
    """Whether this process gets a core for itself when it wants one."""
    wall, cpu = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < 0.3:
        pass
    return (time.process_time() - cpu) / (time.perf_counter() - wall) > 0.9


def is_alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture(scope="module")
def cluster():
    """A head without room for workers, and nodes with room for two each."""
    quiet = is_quiet()  # before all that we start ourselves
    made = Nodes(head=0, cores=2, actor="LiveActor")
    made.is_quiet = quiet
    yield made
    made.cluster.shutdown()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


class Run:
    """``streamderain run --ray``, and somebody who watches through the book."""

    def __init__(self, cluster, folder, cameras, **settings):
        self.book = f"tcp://127.0.0.1:{free_port()}"
        output = {"type": "zeromq", "address": "tcp://127.0.0.1:5555", "heartbeat": "500ms"}
        path = folder / "cameras.yaml"
        path.write_text(
            yaml.safe_dump(
                {
                    "model": "null",
                    "cluster": {"book": self.book, "cameras_per_worker": 2, **settings},
                    "defaults": {
                        "gate": {"always": True}, "backoff": "200ms", "outputs": [output],
                    },
                    "cameras": {name: {"source": source} for name, source in cameras.items()},
                }
            )
        )  # fmt: skip
        address = cluster.address
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamderain", "run", str(path), "--ray", address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.subscriber = Subscriber(book=self.book)
        self._drain = threading.Thread(target=lambda: [None for _ in self.subscriber])
        self._drain.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def view(self, name):
        return self.subscriber.cameras.get(name)

    def received(self, *names):
        views = self.subscriber.cameras
        return min((views[name].received if name in views else 0) for name in names)

    def moved(self):
        views = self.subscriber.cameras
        return {name for name, view in views.items() if view.restarts}

    def said(self, words):
        return [line for line in self.lines if words in line]

    def stop(self):
        """Interrupt it; return what it wrote to standard output."""
        self.process.send_signal(signal.SIGINT)
        out = self.process.stdout.read()
        self.code = self.process.wait(LONG)
        return out

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        self.subscriber.close()
        self._drain.join()
        if reason[0] is not None:
            print("".join(self.lines))


@contextlib.contextmanager
def taken(run, cluster, act):
    """Do something to a node that has cameras; give its worker, and the cameras that have moved."""
    node = next(node for node in cluster.nodes if cluster.workers(node))
    (worker,) = cluster.workers(node)
    cluster.nodes.remove(node)
    pids, quiet = cluster.processes(node), cluster.is_quiet
    try:
        for pid in pids:
            os.kill(pid, act)
        began = time.monotonic()
        until(lambda: run.moved() in PAIRS, LONG)
        away = time.monotonic() - began
        print(f"back after {away:.1f} s, on a machine that is {'quiet' if quiet else 'busy'}")
        assert away < BACK or not quiet
        yield pids, worker
    finally:
        cluster.lose(node)


@pytest.fixture
def sources(tmp_path):
    need_gstreamer()
    clip = str(make_clip(tmp_path / "a.mp4", frames=40))
    with RtspCameras(gate={"fps": 10}, yard={"fps": 10}) as cameras:
        yield {
            "gate": cameras.url("gate"),
            "yard": cameras.url("yard"),
            "file": clip,
            "again": clip,
        }


def test_a_node_is_killed_and_its_cameras_are_back_elsewhere(cluster, tmp_path, sources):
    cluster.fill(3)
    with Run(cluster, tmp_path, sources) as run:
        until(lambda: run.received(*sources) > 3, LONG)
        assert [len(cluster.workers(node)) for node in cluster.nodes] == [0, 1, 1]
        with taken(run, cluster, signal.SIGKILL):
            moved = run.moved()
            seen = run.received(*sources)
            until(lambda: run.received(*sources) > seen + 5, LONG)
        assert run.moved() == moved  # those on the other node have not noticed
        assert len(run.said("they move to another worker")) == 1
        running = cluster.workers()
        assert len(running) == 2
        assert run.stop() == ""  # what Ray has to say of dead nodes isn't for our standard output
        assert run.code == 0
        until(lambda: not any(is_alive(pid) for pid in running), LONG)
        until(lambda: all(run.view(name).state == "ended" for name in sources), LONG)


def test_a_node_that_vanishes_is_replaced_and_ends_its_own_when_it_is_back(
    cluster, tmp_path, sources
):
    cluster.fill(3)
    with Run(cluster, tmp_path, sources) as run:
        until(lambda: run.received(*sources) > 3, LONG)
        # A frozen node answers as little as one whose cable was pulled.
        with taken(run, cluster, signal.SIGSTOP) as (pids, old):
            moved = run.moved()
            assert is_alive(old)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            until(lambda: not is_alive(old), LONG)
            seen = run.received(*sources)
            until(lambda: run.received(*sources) > seen + 5, LONG)
            assert run.moved() == moved
            assert [run.view(name).restarts for name in moved] == [1, 1]
        run.stop()
        assert run.code == 0


def test_a_worker_whose_process_is_killed_is_back_where_no_other_node_has_room(
    cluster, tmp_path, sources
):
    cluster.fill(2)
    pair = {name: sources[name] for name in ("file", "again")}
    with Run(cluster, tmp_path, pair, cpus=2) as run:
        until(lambda: run.received(*pair) > 3, LONG)
        (worker,) = cluster.workers()
        began = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        until(lambda: run.moved() == set(pair), LONG)
        assert time.monotonic() - began < BACK or not cluster.is_quiet
        # On a busy machine Ray may know of it later than after ``silence``.
        ended, silent = run.said("has ended"), run.said("no answer")
        assert (len(ended), len(silent)) == (1, 0) or not cluster.is_quiet
        run.stop()
        assert run.code == 0


def test_cameras_without_room_wait_and_are_placed_as_soon_as_there_is(cluster, tmp_path, sources):
    cluster.fill(2)
    with Run(cluster, tmp_path, sources, cpus=2) as run:
        placed = until(lambda: [name for name in sources if run.received(name)], LONG)
        waiting = next(name for name in sources if name not in placed)
        said = "waiting for a node: they start as soon as one has 2 CPU free by Ray's count"
        until(lambda: run.said(said), LONG)
        assert run.view(waiting).state == "waiting"
        cluster.fill(3)
        until(lambda: run.received(*sources) > 3, LONG)
        assert len(run.said(said)) == 1
        run.stop()
        assert run.code == 0
