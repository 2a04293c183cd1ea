"""What the driver does with its workers: made-up ones, a made-up clock; and one real worker."""

import logging
import threading

import pytest

from streamderain import __version__
from streamderain.client import Subscriber
from streamderain.cluster.livedriver import Driver, Gone
from streamderain.cluster.liveplacing import check_spreadable
from streamderain.cluster.livereport import CameraBrief, LogLine, WorkerReport
from streamderain.cluster.liverunning import open_book, publish
from streamderain.cluster.livewatch import Phase, WatchSettings
from streamderain.cluster.liveworker import LiveWorker
from streamderain.config import RunConfig
from streamderain.keys import make_keys
from tests.clips import make_clip
from tests.waiting import until


def config(cameras=("gate", "yard"), per_worker=1, **settings):
    return RunConfig.model_validate(
        {
            "model": "null", "cameras": {name: {"source": "scene"} for name in cameras},
            "cluster": {"cameras_per_worker": per_worker}, **settings,
        }
    )  # fmt: skip


class MadeUp:
    """A worker that does what the test says."""

    def __init__(self, number, avoid):
        self.number, self.avoid = number, avoid
        self.node, self.is_there, self.is_gone = f"node{number}", True, None
        self.returns = self.for_good = False
        self.phase, self.problem, self.state = None, None, "live"
        self.log, self.told, self.is_asked, self.killed, self.stopped = [], None, False, 0, 0
        self.worker = f"w{number}"
        self.version = __version__

    def ask(self):
        self.is_asked = True

    def report(self):
        if self.is_gone is not None:
            raise Gone(self.is_gone, returns=self.returns, for_good=self.for_good)
        if not (self.is_asked and self.is_there):
            return None
        self.is_asked = False
        log, self.log = tuple(self.log), []
        cameras, run = {}, None
        if self.phase is Phase.RUNNING:
            run = f"run-{self.worker}"
            address = f"tcp://{self.node}:1"
            cameras = {
                name: CameraBrief(self.state, None, (address,)) for name in self.told.cameras
            }
        return WorkerReport(
            self.worker, self.node, f"host-{self.node}", self.version, self.phase, self.problem,
            run, cameras, log,
        )  # fmt: skip

    def start(self, config):
        self.told, self.phase = config, Phase.RUNNING

    def stop(self):
        self.stopped += 1

    def has_stopped(self):
        return True

    def kill(self):
        self.killed += 1


class MadeUpWorkers:
    """A cluster whose nodes have room as long as the test says so."""

    def __init__(self):
        self.made, self.has_room = [], True

    def create(self, avoid):
        worker = MadeUp(len(self.made), avoid)
        worker.is_there = self.has_room
        self.made.append(worker)
        return worker


class Run:
    """A driver with its clock."""

    def __init__(self, config):
        self.now, self.book = 100.0, {}
        self.workers = MadeUpWorkers()
        self.driver = Driver(
            config, self.workers, WatchSettings(silence=5.0), clock=lambda: self.now,
            wall_ns=lambda: int(self.now * 1e9),
        )  # fmt: skip

    def steps(self, seconds):
        """Let time pass; the book's last word on each camera is kept."""
        for _ in range(round(seconds / 0.25)):
            self.now += 0.25
            for entry in self.driver.step():
                self.book[entry.camera] = entry
        return self

    def state(self, camera):
        return self.book[camera].state

    def where(self, camera):
        return self.book[camera].addresses


@pytest.fixture
def run():
    return Run(config()).steps(2)


def test_each_group_of_cameras_gets_a_worker_that_is_told_what_to_run(run):
    assert [list(worker.told.cameras) for worker in run.workers.made] == [["gate"], ["yard"]]
    assert (run.state("gate"), run.where("gate")) == ("live", ("tcp://node0:1",))
    assert (run.book["yard"].run, run.book["yard"].node) == ("run-w1", "host-node1")


def test_cameras_that_share_a_worker_are_told_together():
    run = Run(config(("a", "b", "c"), per_worker=2)).steps(2)
    assert [list(worker.told.cameras) for worker in run.workers.made] == [["a", "b"], ["c"]]


def test_a_silent_worker_is_killed_and_its_cameras_move_elsewhere(run, caplog):
    caplog.set_level(logging.INFO, "streamderain")
    old = run.workers.made[0]
    old.is_there = False
    run.workers.has_room = False
    run.steps(5.5)
    new = run.workers.made[2]
    assert (old.killed, new.avoid) == (1, "node0")
    assert (run.state("gate"), run.where("gate"), run.state("yard")) == ("moving", (), "live")
    new.is_there = True
    run.steps(1.5)
    assert (run.state("gate"), run.where("gate")) == ("live", ("tcp://node2:1",))
    assert (run.book["gate"].placement, run.book["yard"].placement) == (2, 1)
    said = [record.message for record in caplog.records]
    assert said == [
        "gate: no answer from host-node0 for 5 s; they move to another worker",
        "gate: on host-node2",
    ]


def test_one_that_says_it_is_gone_is_given_the_same_time_to_come_back(run):
    worker = run.workers.made[0]
    worker.is_gone = ""
    run.steps(3)
    worker.is_gone, worker.worker, worker.phase = None, "w0-again", None
    run.steps(2)
    assert len(run.workers.made) == 2
    assert (worker.phase, run.state("gate")) == (Phase.RUNNING, "live")
    assert (run.book["gate"].run, run.book["gate"].placement) == ("run-w0-again", 2)


def test_one_whose_process_has_ended_and_begins_slowly_is_not_replaced_by_yet_another(run, caplog):
    caplog.set_level(logging.INFO, "streamderain")
    worker = run.workers.made[0]
    worker.is_gone, worker.returns = "", True
    run.steps(9)
    assert (run.state("gate"), run.where("gate"), run.state("yard")) == ("moving", (), "live")
    worker.is_gone, worker.worker, worker.phase = None, "w0-again", None
    run.steps(1.5)
    assert (len(run.workers.made), worker.killed) == (2, 0)
    assert (run.state("gate"), run.book["gate"].run) == ("live", "run-w0-again")
    assert [record.message for record in caplog.records] == [
        "gate: their worker on host-node0 has ended; they move to another worker",
        "gate: on host-node0",
    ]


def test_one_that_never_began_is_replaced_soon_and_what_is_said_of_it_is_said_once(caplog):
    run = Run(config(("gate",)))
    (first,) = run.workers.made
    first.is_gone, first.for_good = "it was cancelled", True
    run.steps(4)
    assert run.workers.made == [first]
    run.workers.has_room = False
    run.steps(2)
    first, second = run.workers.made
    run.steps(12)  # now there is no room, either
    second.is_gone, second.for_good = "it was cancelled", True
    run.steps(3)
    assert [record.message for record in caplog.records] == [
        "gate: a worker failed: it was cancelled",
        "gate: waiting for a node: they start as soon as one has 1 CPU free by Ray's count",
    ]
    run.workers.has_room = True
    run.steps(12)
    assert run.state("gate") == "live"


def test_without_room_it_is_said_once_and_they_start_as_soon_as_there_is(caplog):
    run = Run(config())
    for worker in run.workers.made:
        worker.is_there = worker.number == 0
    run.workers.has_room = False
    run.steps(100)
    said = [record.message for record in caplog.records if "waiting" in record.message]
    assert said == [
        "yard: waiting for a node: they start as soon as one has 1 CPU free by Ray's count"
    ]
    assert (run.state("gate"), run.state("yard")) == ("live", "waiting")
    assert "waiting for a node" in run.book["yard"].message
    run.workers.made[-1].is_there = True
    run.steps(2)
    assert run.state("yard") == "live"


def test_a_worker_that_cannot_run_its_cameras_says_why_and_is_told_again(run, caplog):
    worker = run.workers.made[0]
    worker.phase, worker.problem = Phase.FAILED, "there is no network named 'x'"
    run.steps(2)
    assert (run.state("gate"), run.book["gate"].message) == ("failed", worker.problem)
    assert caplog.messages == ["gate: can't run on host-node0: there is no network named 'x'"]
    run.steps(6)
    assert run.state("gate") == "live"


def test_what_workers_log_is_logged_here(run, caplog):
    caplog.set_level(logging.INFO, "streamderain")
    run.workers.made[1].log = [LogLine(logging.WARNING, "yard: stalled", {"camera": "yard"})]
    run.steps(1)
    (record,) = caplog.records
    assert (record.message, record.camera, record.node) == ("yard: stalled", "yard", "host-node1")
    assert record.levelno == logging.WARNING


def test_another_version_of_streamderain_on_a_node_is_said(caplog):
    run = Run(config(["gate"]))
    run.workers.made[0].version = "0.0.9"
    run.steps(2)
    assert [text for text in caplog.messages if "host-node0 has streamderain 0.0.9" in text]


def test_why_a_worker_could_not_begin_is_said_once(caplog):
    run = Run(config(["gate"]))
    run.workers.made[0].is_gone = "ModuleNotFoundError: No module named 'streamderain'"
    run.steps(9)
    assert len(caplog.messages) == 1
    assert "No module named 'streamderain'" in caplog.messages[0]


def test_all_have_ended_when_every_camera_has(run):
    assert not run.driver.all_ended
    for worker in run.workers.made:
        worker.state = "ended"
    run.steps(1)
    assert run.driver.all_ended


def test_stopping_lets_them_write_makes_sure_that_they_end_and_closes_the_book(run, caplog):
    caplog.set_level(logging.INFO, "streamderain")
    run.workers.made[0].log = [LogLine(logging.INFO, "gate: last words", {})]
    entries = run.driver.stop(1.0)
    assert [(worker.stopped, worker.killed) for worker in run.workers.made] == [(1, 1), (1, 1)]
    assert [(entry.camera, entry.state, entry.addresses) for entry in entries] == [
        ("gate", "ended", ()), ("yard", "ended", ()),
    ]  # fmt: skip
    assert "gate: last words" in caplog.messages


# A worker itself, without a cluster.


@pytest.fixture
def clip(tmp_path):
    return str(make_clip(tmp_path / "a.mp4", frames=20))


def publishing(source, address="tcp://127.0.0.1:5555", **settings):
    return RunConfig.model_validate(
        {
            "model": "null", "defaults": {"outputs": [{"type": "zeromq", "address": address}]},
            "cameras": {"gate": {"source": source}},
            "cluster": {"silence": "60s"}, **settings,
        }
    )  # fmt: skip


@pytest.fixture
def worker():
    made = LiveWorker("node", "127.0.0.9", end=lambda: None)
    yield made
    made.stop()


def test_a_worker_runs_nothing_until_it_is_told_to(worker):
    report = worker.beat()
    assert (report.phase, report.run, report.cameras, report.node) == (None, None, {}, "node")
    assert report.version == __version__


def test_a_worker_publishes_at_ports_of_its_own_and_says_where(worker, clip):
    worker.start(publishing(clip, "tcp://0.0.0.0:5555"))
    until(lambda: worker.beat().cameras.get("gate"))
    report = worker.beat()
    (address,) = report.cameras["gate"].addresses
    assert report.phase is Phase.RUNNING
    assert address.startswith("tcp://127.0.0.9:")
    assert not address.endswith(":5555")
    with Subscriber(address) as subscriber:
        frame = subscriber.next(20)
    assert (frame.camera, frame.header.run) == ("gate", report.run)


def test_a_worker_that_cannot_open_the_network_says_so_and_may_be_told_again(worker, clip):
    worker.start(publishing(clip, model="nothing-of-that-name"))
    report = until(lambda: (found := worker.beat()).phase is Phase.FAILED and found)
    assert "nothing-of-that-name" in report.problem
    worker.start(publishing(clip))
    until(lambda: worker.beat().phase is Phase.RUNNING)


def test_what_a_worker_says_has_no_passwords_in_it(worker):
    camera = {"source": "rtsp://viewer:hunter2@127.0.0.1:9/x"}
    worker.start(publishing("scene", cameras={"gate": camera}))
    lines = []
    until(lambda: lines.extend(worker.beat().log) or any("backoff" in x.message for x in lines), 20)
    assert not any("hunter2" in repr(line) for line in lines)


def test_a_worker_that_nobody_asks_any_more_ends_itself(clip):
    ended = []
    made = LiveWorker("node", "127.0.0.1", end=lambda: ended.append(True))
    try:
        made.start(publishing(clip, cluster={"silence": "2s"}))
        until(lambda: ended)
    finally:
        made.stop()


# Driver, workers, book and subscriber together, without a cluster.


class InProcess:
    """A worker in this process, which can be cut off: then it goes on, but nobody hears of it."""

    def __init__(self, name):
        self.worker = LiveWorker(name, "127.0.0.1", end=lambda: None)
        self.is_cut, self._report = False, None

    def ask(self):
        self._report = None if self.is_cut else self.worker.beat()

    def report(self):
        return self._report

    def start(self, config):
        self.worker.start(config)

    def stop(self):
        self.worker.stop()

    def has_stopped(self):
        return True

    def kill(self):
        pass


class InProcessWorkers:
    def __init__(self):
        self.made = []

    def create(self, avoid):
        self.made.append(InProcess(f"node{len(self.made)}"))
        return self.made[-1]


def test_an_encrypted_camera_is_followed_from_a_worker_that_is_cut_off_to_the_next(tmp_path, clip):
    make_keys(tmp_path, ["detector"])
    curve = {
        "secret_key": str(tmp_path / "server.key_secret"), "clients": str(tmp_path / "clients"),
    }  # fmt: skip
    config = RunConfig.model_validate(
        {
            "model": "null", "cluster": {"book": "tcp://127.0.0.1:0", "curve": curve},
            "defaults": {"outputs": [{"type": "zeromq", "curve": curve}]},
            "cameras": {"gate": {"source": clip}, "yard": {"source": clip}},
        }
    )  # fmt: skip
    check_spreadable(config)
    workers = InProcessWorkers()
    driver = Driver(config, workers, WatchSettings(silence=2.0))
    stop = threading.Event()
    with open_book(config) as book:

        def run():
            while not stop.wait(0.02):
                publish(book, driver.step())
            publish(book, driver.stop(1.0))

        thread = threading.Thread(target=run)
        keys = {
            "server_key": tmp_path / "server.key",
            "client_key": tmp_path / "clients/detector.key_secret",
        }
        with Subscriber(book=book.address, **keys) as frames:
            thread.start()
            try:
                until(lambda: frames.cameras.get("gate") and frames.cameras["gate"].received, 30)
                old = workers.made[0]
                old.is_cut = True
                for name in ("gate", "yard"):
                    until(lambda name=name: frames.cameras[name].restarts, 30)
                seen = frames.cameras["gate"].received
                until(lambda: frames.cameras["gate"].received > seen + 20, 30)
                # The one that was cut off publishes to this day, and nobody goes back to it.
                assert old.worker.beat().cameras["gate"].state == "live"
                assert [frames.cameras[name].restarts for name in ("gate", "yard")] == [1, 1]
            finally:
                stop.set()
                thread.join()
                old.worker.stop()
            until(lambda: frames.cameras["gate"].state == "ended", 30)
