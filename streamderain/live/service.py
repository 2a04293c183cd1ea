"""``streamderain run``: every camera of a configuration, from its source to its subscribers."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamderain.channel import Cancelled
from streamderain.config import CameraConfig, RecordOutput, RunConfig, ZeroMqOutput
from streamderain.errors import OutputError
from streamderain.frame import Frame, Pixels
from streamderain.inference.backend import VIDEO, Backend
from streamderain.inference.batching import choose_batch
from streamderain.inference.cost import CostModel
from streamderain.inference.derainer import derain
from streamderain.inference.sharing import CameraBatcher
from streamderain.live.camera import CameraWorker
from streamderain.live.exchange import Exchange
from streamderain.live.lane import LaneSettings
from streamderain.live.outlet import Outlet
from streamderain.live.stats import CameraStats, stats_line
from streamderain.live.supervision import Backoff, Change, Supervision
from streamderain.live.switchboard import Switchboard
from streamderain.models import NULL
from streamderain.readers.live import LiveSource, Shape
from streamderain.readers.network import NetworkSource
from streamderain.readers.playing import play_file, play_scene
from streamderain.source import Source, SourceKind, hide_secrets
from streamderain.writers.recording import SegmentRecorder
from streamderain.writers.zeromq import (
    CameraPublisher,
    PublisherSettings,
    ZeroMqPublisher,
    new_run,
)

__all__ = ["LiveService", "open_source"]

log = logging.getLogger("streamderain")

TICK_S = 0.05
"""How often the watchdog looks at the cameras."""

DRAIN_S = 5.0
"""How long frames under way may take to be written at the end."""

WRITER_RETRY_S = 5.0
"""A writer that failed says so again after this time."""


class _LiveWriter(Protocol):
    def write(self, frame: Frame) -> None: ...


@dataclass
class _Desk:
    """A camera's writer with its thread."""

    camera: str
    outlet: str
    writer: _LiveWriter
    thread: threading.Thread | None = None
    errors: int = 0


def open_source(camera: CameraConfig, source: Source) -> LiveSource:
    """Connect to a camera's source.

    Raises:
        SourceLostError, SourceRefusedError, SourceWrongError: it can't be had.
    """
    if source.kind is SourceKind.FILE:
        return play_file(Path(source.address), pace=camera.pace)
    if source.kind is SourceKind.SCENE:
        assert source.scene is not None
        return play_scene(
            rain=source.scene.rain, size=source.scene.size, fps=source.scene.fps, pace=camera.pace
        )
    return NetworkSource(
        source.address, shown=source.shown, webcam=source.kind is SourceKind.WEBCAM,
        transport=camera.transport, timeout=camera.timeout, stall=camera.stall,
        hwaccel=None if camera.hwaccel == "none" else camera.hwaccel,
    )  # fmt: skip


class LiveService:
    """Runs the cameras of a configuration until it is stopped.

    Threads: one a camera that reads, one that runs the network, one a camera and output that
    writes, one that keeps deadlines and heartbeats, one that watches. What they do is decided by
    the switchboard and the supervisions, which have none.

    Args:
        config: checked.
        backend: opened; stays the caller's.
        connect: opens a camera's source.
        clock: monotonic seconds.

    Raises:
        OutputError: an address is in use, or a folder can't be made.
        InputError: a key can't be read.
    """

    def __init__(
        self,
        config: RunConfig,
        backend: Backend,
        *,
        connect: Callable[[CameraConfig, Source], LiveSource] = open_source,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._backend, self._clock = config, backend, clock
        self._connect = connect
        self._cost = CostModel()
        batcher = CameraBatcher(self._batch_limit, config.batch_wait, self._cost)
        self._exchange = Exchange(Switchboard(batcher), clock)
        self._run = new_run()
        self._stop = threading.Event()
        self._publishers: dict[str, ZeroMqPublisher] = {}
        self._heartbeats: dict[str, float] = {}
        self._cameras: dict[str, CameraWorker] = {}
        self._desks: list[_Desk] = []
        self._threads: list[threading.Thread] = []
        self._stats: dict[str, CameraStats] = {}
        self._secrets: list[str] = []
        try:
            for name in config.cameras:
                self._add(name, config.camera(name))
        except BaseException:
            self._close_publishers()
            raise

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses of the configuration, and what they are really bound to."""
        return {asked: publisher.address for asked, publisher in self._publishers.items()}

    @property
    def cameras(self) -> list[str]:
        """The ids of all cameras."""
        return list(self._cameras)

    def start(self) -> None:
        """Start all threads."""
        jobs: list[tuple[str, Callable[[], None]]] = [
            ("infer", self._infer),
            ("deadlines", self._exchange.keep_time),
            ("watch", self._watch),
        ]
        for name, job in jobs:
            self._threads.append(threading.Thread(target=job, name=name, daemon=True))
        for desk in self._desks:
            name = f"{desk.outlet} {desk.camera}"
            desk.thread = threading.Thread(target=self._serve, args=(desk,), name=name, daemon=True)
            self._threads.append(desk.thread)
        for thread in self._threads:
            thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every camera has ended (files do); False where ``timeout`` came first."""
        until = None if timeout is None else self._clock() + timeout
        while not self._all_ended():
            if until is not None and self._clock() >= until:
                return False
            if self._stop.wait(TICK_S):
                return False
        return True

    def stop(self) -> None:
        """Take no more frames, write those under way, close files and sockets."""
        self._stop.set()
        for worker in self._cameras.values():
            worker.stop()
        self._exchange.close()
        until = self._clock() + DRAIN_S
        for name in self._cameras:
            if not self._exchange.drain(name, max(0.0, until - self._clock())):
                log.warning("%s: not all frames under way could be written", name)
        self._exchange.cancel()
        for thread in self._threads:
            thread.join(max(0.1, until - self._clock()))
        for worker in self._cameras.values():
            worker.join(0.2)
        for desk in self._desks:
            if isinstance(desk.writer, SegmentRecorder):
                with contextlib.suppress(OutputError):
                    desk.writer.close()
        self._close_publishers()

    def stats(self, name: str) -> CameraStats:
        """Return a camera's figures, counted at one moment."""
        worker = self._cameras[name]
        state, message = worker.state()
        return CameraStats(
            camera=name, state=state, message=message, count=self._exchange.count(name),
            corrupt=worker.health.corrupt, damaged=worker.health.damaged,
            connects=worker.health.connects, at=self._clock(),
            unsent=sum(
                desk.writer.unsent
                for desk in self._desks
                if desk.camera == name and isinstance(desk.writer, CameraPublisher)
            ),
        )  # fmt: skip

    def hide(self, text: str) -> str:
        """Return a text without the cameras' passwords."""
        return hide_secrets(text, self._secrets)

    def _add(self, name: str, camera: CameraConfig) -> None:
        source = camera.parsed
        self._secrets += source.secrets
        outlets: dict[str, Outlet] = {}
        for output in camera.outputs:
            reason = "publish" if isinstance(output, ZeroMqOutput) else "record"
            outlet = reason if reason not in outlets else f"{reason}-{len(outlets) + 1}"
            outlets[outlet] = Outlet(reason, max(output.queue, camera.queue))
            writer = self._writer(name, output)
            self._desks.append(_Desk(name, outlet, writer))
        policy = camera.effective_policy
        settings = LaneSettings(
            policy=policy, capacity=camera.queue, overload=camera.overload,
            staleness_s=None if policy == "block" else camera.staleness,
        )  # fmt: skip
        self._exchange.add(name, settings, outlets)
        is_file = source.kind is SourceKind.FILE
        self._cameras[name] = CameraWorker(
            name, lambda: self._connect(camera, source), self._exchange,
            Supervision(
                Backoff(camera.backoff, camera.backoff_most), camera.timeout, camera.stall
            ),
            shape=Shape(camera.region, camera.resize), max_fps=camera.max_fps,
            max_lag_s=settings.staleness_s,
            loops=is_file and camera.loop, ends=is_file,
            bypass=NULL if self._backend.name == NULL else None,
            gate=camera.gate.settings, remembers=self._backend.inputs == VIDEO,
            tell=self._tell, clock=self._clock,
        )  # fmt: skip

    def _writer(self, name: str, output: ZeroMqOutput | RecordOutput) -> _LiveWriter:
        if isinstance(output, RecordOutput):
            return SegmentRecorder(
                output.folder, name, segment_s=output.segment, container=output.container,
                codec=output.codec, crf=output.crf, preset=output.preset,
            )  # fmt: skip
        if output.address not in self._publishers:
            sharing = sum(
                any(
                    isinstance(other, ZeroMqOutput) and other.address == output.address
                    for other in self._config.camera(camera).outputs
                )
                for camera in self._config.cameras
            )
            self._publishers[output.address] = ZeroMqPublisher(
                PublisherSettings(
                    output.address, pattern=output.pattern,
                    high_water_mark=output.high_water_mark * sharing,
                    secret_key=output.curve.secret_key if output.curve else None,
                    clients=output.curve.clients if output.curve else None,
                )
            )  # fmt: skip
        self._heartbeats[name] = output.heartbeat
        return CameraPublisher(
            self._publishers[output.address], name, self._run, codec=output.payload,
            pixfmt=output.pixfmt, quality=output.quality,
        )  # fmt: skip

    def _batch_limit(self, height: int, width: int) -> int:
        return self._config.batch or choose_batch(self._backend.device, height, width)

    def _infer(self) -> None:
        failed_at = float("-inf")
        while True:
            try:
                tickets = self._exchange.work()
            except Cancelled:
                return
            started = self._clock()
            derained: list[Pixels] | None = None
            try:
                pictures = [ticket.frame.pixels for ticket in tickets]
                priors = [ticket.prior for ticket in tickets]
                derained = list(derain(self._backend, pictures, priors))
                self._cost.observe(tickets[0].size, len(tickets), self._clock() - started)
            except Exception as error:  # noqa: BLE001 - one run must not end them all
                if started - failed_at > WRITER_RETRY_S:
                    failed_at = started
                    log.error("%s; the frames pass as they came", error)
            self._exchange.finish(tickets, derained, self._backend.name)

    def _serve(self, desk: _Desk) -> None:
        said_at = float("-inf")
        while True:
            try:
                frame = self._exchange.take(desk.camera, desk.outlet)
            except Cancelled:
                return
            if frame is None:
                continue
            written = False
            try:
                desk.writer.write(frame)
                written = True
            except Exception as error:
                desk.errors += 1
                if self._clock() - said_at > WRITER_RETRY_S:
                    said_at = self._clock()
                    expected = isinstance(error, OutputError)
                    log.error("%s: %s", desk.camera, error, exc_info=not expected)
            finally:
                self._exchange.settle(desk.outlet, frame, written=written)

    def _watch(self) -> None:
        beaten = dict.fromkeys(self._cameras, float("-inf"))
        lined = self._clock()
        while not self._stop.wait(TICK_S):
            now = self._clock()
            for name, worker in self._cameras.items():
                worker.tend()
                if name in self._heartbeats and now - beaten[name] >= self._heartbeats[name]:
                    beaten[name] = now
                    self._send_event(name, "heartbeat")
            if now - lined >= self._config.stats:
                lined = now
                self.log_stats()

    def log_stats(self) -> None:
        """Log a line for each camera: what came, what left, what was left out, since the last."""
        for name in self._cameras:
            stats = self.stats(name)
            log.info("%s", stats_line(stats, self._stats.get(name)))
            missing = {reason: n for reason, n in stats.count.missing().items() if n}
            if missing:
                log.error("%s: frames are unaccounted for: %s", name, missing)
            self._stats[name] = stats

    def _tell(self, name: str, change: Change) -> None:
        message = f": {self.hide(change.message)}" if change.message else ""
        level = logging.INFO if change.state.value in ("live", "ended") else logging.WARNING
        log.log(level, "%s: %s%s", name, change.state.value, message)
        self._send_event(name, "state")

    def _send_event(self, name: str, event: str) -> None:
        stats = self.stats(name)
        dropped = dict(stats.count.dropped)
        for desk in self._desks:
            if desk.camera == name and isinstance(desk.writer, CameraPublisher):
                all_dropped = {**dropped}
                for reason, count in stats.count.outlets[desk.outlet].dropped.items():
                    all_dropped[reason] = all_dropped.get(reason, 0) + count
                message = self.hide(stats.message) if stats.message else None
                desk.writer.tell(
                    "state" if event == "state" else "heartbeat",
                    stats.state, message, stats.count.decoded, all_dropped,
                )  # fmt: skip

    def _all_ended(self) -> bool:
        return all(worker.state()[0] == "ended" for worker in self._cameras.values())

    def _close_publishers(self) -> None:
        for publisher in self._publishers.values():
            publisher.close()
