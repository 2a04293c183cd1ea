"""``streamderain run``: every camera of a configuration, from its source to its subscribers."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from streamderain.config import CameraConfig, RunConfig
from streamderain.inference.backend import Backend
from streamderain.inference.create import create_backend
from streamderain.live.control import Control
from streamderain.live.engine import Engine
from streamderain.live.exchange import Exchange
from streamderain.live.fleet import Fleet
from streamderain.live.opening import open_source
from streamderain.live.stats import CameraStats, stats_fields, stats_line
from streamderain.live.switchboard import Switchboard
from streamderain.readers.live import LiveSource
from streamderain.source import Source

__all__ = ["LiveService", "open_source"]

log = logging.getLogger("streamderain")

TICK_S = 0.05
"""How often the watchdog looks at the cameras."""

END_S = 5.0
"""How long threads may take to end, and files to be closed, when all is written."""


class LiveService:
    """Runs the cameras of a configuration until it is stopped.

    Threads: one a camera that reads, one that runs the network, one a camera and output that
    writes, one that keeps deadlines, one that watches. What they do is decided by the switchboard
    and the supervisions, which have none.

    Args:
        config: checked.
        backend: opened; stays the caller's, but is closed where another one takes its place.
        connect: opens a camera's source.
        open_model: opens another network, by the configuration's ``model``.
        clock: monotonic seconds.
        wall: seconds since 1970.

    Attributes:
        control: to see and steer the cameras while they run.

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
        open_model: Callable[[str], Backend] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._every, self._clock = config.stats, clock
        self._engine = Engine(
            backend, batch=config.batch, batch_wait=config.batch_wait, clock=clock, wall=wall
        )
        self._exchange = Exchange(Switchboard(self._engine.batcher), clock)
        self._fleet = Fleet(
            config, self._exchange, self._engine.needs, connect=connect, clock=clock, wall=wall
        )
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stats: dict[str, tuple[str, CameraStats]] = {}
        self._looked_at = clock()

        def open_configured(model: str) -> Backend:
            return create_backend(model, config.device, config.backend, config.precision)

        self.control = Control(
            self._fleet, self._engine, self._exchange, open_model or open_configured,
            is_alive=self._is_alive, clock=clock,
        )  # fmt: skip

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses of the configuration, and what they are really bound to."""
        return self._fleet.publishers.addresses

    @property
    def run(self) -> str:
        """What the cameras' messages have as ``run``, of those that are there from the start."""
        return self._fleet.run

    @property
    def cameras(self) -> list[str]:
        """The ids of all cameras."""
        return list(self._fleet.units)

    def start(self) -> None:
        """Start all threads."""
        jobs: list[tuple[str, Callable[[], None]]] = [
            ("infer", lambda: self._engine.run(self._exchange)),
            ("deadlines", self._exchange.keep_time),
            ("watch", self._watch),
        ]
        self._looked_at = self._clock()
        self.control.started()
        self._fleet.start()
        for name, job in jobs:
            self._threads.append(threading.Thread(target=job, name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every camera has ended (files do); False where ``timeout`` came first.

        Where all cameras were removed, it waits on: others may come.
        """
        until = None if timeout is None else self._clock() + timeout
        while not self._fleet.all_ended:
            if until is not None and self._clock() >= until:
                return False
            if self._stop.wait(TICK_S):
                return False
        return True

    def stop(self) -> None:
        """Take no more frames, write those under way, close files and sockets."""
        self._stop.set()
        self._fleet.stop()
        self._exchange.cancel()
        until = self._clock() + END_S
        for thread in self._threads:
            thread.join(max(0.1, until - self._clock()))
        self._fleet.end(max(0.1, until - self._clock()))
        self._engine.close()

    def stats(self, name: str) -> CameraStats:
        """Return a camera's figures, counted at one moment.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        return self._fleet.unit(name).stats()

    def hide(self, text: str) -> str:
        """Return a text without the cameras' passwords."""
        return self._fleet.hide(text)

    def log_stats(self) -> None:
        """Log a line for each camera: what came, what left, what was left out, since the last."""
        told = {}
        for name, unit in self._fleet.units.items():
            stats = unit.stats()
            key, before = self._stats.get(name, (unit.key, None))
            line = stats_line(stats, before if key == unit.key else None)
            log.info("%s", line, extra=stats_fields(stats))
            missing = {reason: n for reason, n in stats.count.missing().items() if n}
            if missing:
                log.error("%s: frames are unaccounted for: %s", name, missing)
            told[name] = (unit.key, stats)
        self._stats = told

    def _watch(self) -> None:
        lined = self._clock()
        while not self._stop.wait(TICK_S):
            self._fleet.tend()
            now = self._looked_at = self._clock()
            if now - lined >= self._every:
                lined = now
                self.log_stats()

    def _is_alive(self) -> bool:
        """Whether the threads that nothing goes on without are there, and get on."""
        return (
            bool(self._threads)
            and all(thread.is_alive() for thread in self._threads)
            and self._clock() - self._looked_at < 5.0
        )
