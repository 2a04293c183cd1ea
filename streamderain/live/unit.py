"""One camera with all that it has: reader, writers, what is known of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from streamderain.config import CameraConfig, ZeroMqOutput
from streamderain.live.camera import CameraWorker
from streamderain.live.desk import Desk
from streamderain.live.engine import Needs
from streamderain.live.exchange import Exchange
from streamderain.live.measuring import History
from streamderain.live.opening import open_output, settings_of
from streamderain.live.outlet import Outlet
from streamderain.live.publishers import Publishers
from streamderain.live.reports import CameraReport
from streamderain.live.stats import CameraStats
from streamderain.live.supervision import Backoff, Change, Supervision
from streamderain.live.switchboard import Figures
from streamderain.readers.live import LiveSource, Shape
from streamderain.source import Source, SourceKind

__all__ = ["Surroundings", "Unit"]

LEAVE_S = 1.0
"""How long threads of a camera that goes may take to end."""


@dataclass(frozen=True)
class Surroundings:
    """What cameras share.

    Attributes:
        exchange: where frames go.
        publishers: sockets by address.
        connect: opens a camera's source.
        tell: is told every change of a camera's state.
        hide: returns a text without secrets.
        clock: monotonic seconds.
        wall: seconds since 1970.
    """

    exchange: Exchange
    publishers: Publishers
    connect: Callable[[CameraConfig, Source], LiveSource]
    tell: Callable[[str, Change], None]
    hide: Callable[[str], str]
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Unit:
    """A camera as it was configured once; a changed one is another unit.

    Args:
        name: the camera's id.
        key: what the exchange knows this unit by.
        camera: effective configuration.
        run: id of this run for subscribers.
        needs: how the network wants its frames.
        around: what cameras share.

    Attributes:
        was_live: whether a frame ever came.
        secrets: texts that must not be seen anywhere.

    Raises:
        OutputError: an address is in use, or a folder can't be made.
        InputError: a key can't be read.
    """

    def __init__(
        self,
        name: str,
        key: str,
        camera: CameraConfig,
        run: str,
        needs: Needs,
        around: Surroundings,
    ) -> None:
        self.name, self.key, self.camera = name, key, camera
        self._around, self._source = around, camera.parsed
        self.secrets = list(self._source.secrets)
        self._lent: list[str] = []
        self._outlets: dict[str, Outlet] = {}
        self._desks: list[Desk] = []
        try:
            self._open_outputs(run)
        except BaseException:
            self.discard()
            raise
        self.worker = self._worker(needs)
        self._made = around.clock()
        self._history = History(self._made)
        self._since = (self._made, around.wall())
        self._telling = threading.Lock()
        self._is_silent = False
        """Its subscribers were told that it has ended: nothing comes after that."""
        self._lock = threading.Lock()
        self._last: Figures | None = None

    def enter(self) -> None:
        """Make the camera known to the exchange; frames may come from now on."""
        self._around.exchange.add(self.key, settings_of(self.camera), self._outlets)

    def start(self) -> None:
        """Start the threads of the writers; the reader's begins when it is tended."""
        for desk in self._desks:
            desk.start()

    def tend(self, now: float) -> None:
        """Do what is due: connect, send heartbeats, take samples."""
        self.worker.tend()
        if any(desk.is_due(now) for desk in self._desks):
            self.tell("heartbeat", now)
        if self._history.is_due(now):
            sample = self._around.exchange.sample(self.key)
            if sample is not None:
                self._history.step(now, self._around.wall(), sample)

    def tell(self, event: Literal["heartbeat", "state"], now: float | None = None) -> None:
        """Tell subscribers what the camera does; heartbeats only where one is due ``now``."""
        stats = self.stats()
        message = self._around.hide(stats.message) if stats.message else None
        with self._telling:
            for desk in self._desks:
                if not self._is_silent and (now is None or desk.is_due(now)):
                    desk.tell(event, stats.state, message, stats.count)

    def quiesce(self, timeout: float) -> bool:
        """Take no more frames and write those under way; False where it takes too long."""
        self.worker.stop()
        self._around.exchange.retire(self.key)
        return self._around.exchange.drain(self.key, timeout)

    def leave(self, farewell: str | None, staying: set[str] | None = None) -> bool:
        """Drop what is still under way, end the threads, give back the sockets.

        Args:
            farewell: subscribers are told with this that the camera has ended; None tells nothing.
            staying: addresses at which nothing is told, since the camera comes back there.

        Returns:
            Whether all writers have ended; those that hang in a library are left to themselves.
        """
        with self._lock:
            self._last = self._around.exchange.remove(self.key)
        until = self._around.clock() + LEAVE_S
        ended = [desk.end(max(0.1, until - self._around.clock())) for desk in self._desks]
        with self._telling:
            self._is_silent = True
            for desk, output in zip(self._desks, self.camera.outputs, strict=True):
                stays = isinstance(output, ZeroMqOutput) and output.address in (staying or ())
                if farewell and not stays:
                    desk.tell("state", "ended", farewell, self._last.count)
        self._give_back()
        self.worker.join(max(0.1, until - self._around.clock()))
        return all(ended)

    def end(self, timeout: float) -> None:
        """Wait for the writers after the exchange was cancelled; counts stay readable."""
        until = self._around.clock() + timeout
        for desk in self._desks:
            desk.end(max(0.1, until - self._around.clock()))
        self._give_back()

    def discard(self) -> None:
        """Let go of a unit that never entered."""
        for desk in self._desks:
            desk.end(0.0)
        self._give_back()

    def stats(self) -> CameraStats:
        """Return the counts of one moment."""
        return self._stats(self.figures())

    def figures(self) -> Figures:
        """Return all that is measured, of one moment; of a camera that has left, its last."""
        found = self._around.exchange.figures(self.key)
        if found is not None:
            return found
        with self._lock:  # it is just leaving, or has left
            assert self._last is not None
            return self._last

    def report(self) -> CameraReport:
        """Return what there is to say of the camera."""
        figures, worker, hide = self.figures(), self.worker, self._around.hide
        stats = self._stats(figures)
        frame = figures.newest.frame if figures.newest else None
        age = None if frame is None else max(0.0, self._around.wall() - frame.t_capture_ns / 1e9)
        return CameraReport(
            camera=self.name, state=stats.state,
            message=hide(stats.message) if stats.message else None, since=self._state_since(),
            mode=worker.mode, paused=worker.paused, source=hide(self._source.shown),
            size=(frame.size[1], frame.size[0]) if frame else None, fps=self._history.fps,
            fps_out=self._history.fps_out, age_s=age,
            rain=frame.rain if frame else None, raining=worker.raining,
            derained=frame.derained if frame else None, bypass=frame.bypass if frame else None,
            stats=stats, queue=figures.queue, latency=figures.latency,
            history=self._history.moments,
        )  # fmt: skip

    def _stats(self, figures: Figures) -> CameraStats:
        state, message = self.worker.state()
        health = self.worker.health
        return CameraStats(
            camera=self.name, state=state, message=message, count=figures.count,
            corrupt=health.corrupt, damaged=health.damaged, connects=health.connects,
            unsent=sum(desk.unsent for desk in self._desks), at=self._around.clock(),
        )  # fmt: skip

    def _state_since(self) -> float:
        """Return since when it is so, seconds since 1970; the same as long as it lasts."""
        at = max(self._made, self.worker.since)
        if at != self._since[0]:
            self._since = (at, self._around.wall() - (self._around.clock() - at))
        return self._since[1]

    def _open_outputs(self, run: str) -> None:
        for output in self.camera.outputs:
            opened = open_output(self.name, output, self.camera, run, self._around.publishers)
            if isinstance(output, ZeroMqOutput):
                self._lent.append(output.address)
            self.secrets += opened.secrets
            reason = opened.reason
            outlet = reason if reason not in self._outlets else f"{reason}-{len(self._outlets) + 1}"
            self._outlets[outlet] = Outlet(reason, max(output.queue, self.camera.queue))
            around = self._around
            self._desks.append(
                Desk(self.name, self.key, outlet, opened, around.exchange, around.clock)
            )

    def _worker(self, needs: Needs) -> CameraWorker:
        camera, source, around = self.camera, self._source, self._around
        is_file = source.kind is SourceKind.FILE
        return CameraWorker(
            self.name, lambda: around.connect(camera, source), around.exchange,
            Supervision(
                Backoff(camera.backoff, camera.backoff_most), camera.timeout, camera.stall
            ),
            key=self.key, shape=Shape(camera.region, camera.resize), max_fps=camera.max_fps,
            max_lag_s=settings_of(camera).staleness_s,
            loops=is_file and camera.loop, ends=is_file, bypass=needs.bypass,
            gate=camera.gate.settings, remembers=needs.remembers, planes=needs.planes,
            tell=around.tell, clock=around.clock,
        )  # fmt: skip

    def _give_back(self) -> None:
        lent, self._lent = self._lent, []
        for address in lent:
            self._around.publishers.give_back(address, self.name)
