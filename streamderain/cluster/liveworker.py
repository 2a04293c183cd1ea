"""The process on a node that runs some of the cameras. It knows nothing of Ray."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress

from streamderain import __version__
from streamderain.cluster.liveplacing import advertised, configuration_of, secrets_of, sockets
from streamderain.cluster.livereport import CameraBrief, LogLine, WorkerReport
from streamderain.cluster.livewatch import Phase
from streamderain.clusterconfig import parse_ports
from streamderain.config import RunConfig
from streamderain.errors import OutputError, StreamderainError
from streamderain.hardware import leave_cores_to_stages
from streamderain.inference.backend import Backend
from streamderain.inference.create import create_backend
from streamderain.live.service import LiveService
from streamderain.logs import extras
from streamderain.source import hide_secrets
from streamderain.writers.zeromq import new_run

__all__ = ["LiveWorker", "free_ports"]

log = logging.getLogger("streamderain")

LINES = 1000
"""Of the log are kept until somebody asks; then the oldest go."""

TRIES = 5
"""To bind ports that somebody else may take between looking and binding."""

JOIN_S = 10.0
"""How long opening a network may still take when all is stopped."""

LOOK_S = 0.25
"""How often a worker looks whether it is still asked for."""


def end_process() -> None:
    """End at once, whatever hangs: nothing of this process is seen any more after this."""
    os._exit(1)


class LiveWorker:
    """Runs some of the cameras when it is told to, and says how they do when it is asked.

    Whoever started it asks all the time. When nobody does for ``silence`` seconds, this machine is
    cut off, or was frozen, and its cameras run elsewhere by now or soon: then the process ends
    itself, so that no camera is published twice for long.

    Args:
        node: id of the node.
        host: its address, for others.
        end: ends the process.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        node: str,
        host: str,
        *,
        end: Callable[[], None] = end_process,
        open_backend: Callable[[RunConfig], Backend] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._id, self._node, self._host = new_run(), node, host
        self._end, self._clock = end, clock
        self._open_backend = open_backend or _create
        self._lock = threading.Lock()
        self._phase: Phase | None = None
        self._problem: str | None = None
        self._service: LiveService | None = None
        self._config: RunConfig | None = None
        self._opened = ExitStack()
        self._threads: list[threading.Thread] = []
        self._secrets: list[str] = []
        self._stop = threading.Event()
        self._asked_at = clock()
        self._lines = _Collector(self._hide)
        log.addHandler(self._lines)
        log.setLevel(logging.INFO)
        leave_cores_to_stages()

    def beat(self) -> WorkerReport:
        """Return how things are; who asks for it wants the worker to go on."""
        self._asked_at = self._clock()
        with self._lock:
            service, config = self._service, self._config
            phase, problem = self._phase, self._problem
        cameras = {}
        if service is not None and config is not None:
            cameras = {name: self._brief(service, config, name) for name in service.cameras}
        return WorkerReport(
            self._id, self._node, self._host, __version__, phase, problem,
            service.run if service is not None else None, cameras, self._lines.take(),
        )  # fmt: skip

    def start(self, config: RunConfig) -> None:
        """Begin to run the cameras of a configuration; returns at once.

        Args:
            config: of this worker's cameras alone.
        """
        self._asked_at = self._clock()
        with self._lock:
            if self._phase in (Phase.STARTING, Phase.RUNNING):
                return
            self._phase, self._problem = Phase.STARTING, None
        self._secrets = secrets_of(config)
        threads = [threading.Thread(target=self._start, args=(config,), name="start", daemon=True)]
        if not self._threads:
            silence = config.cluster.silence
            threads.append(
                threading.Thread(
                    target=self._keep_lease, args=(silence,), name="lease", daemon=True
                )
            )
        for thread in threads:
            thread.start()
        self._threads += threads

    def stop(self) -> None:
        """Take no more frames, write those under way, close files and sockets."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)
        with self._lock:
            service, self._service, self._phase = self._service, None, None
        if service is not None:
            service.stop()
            service.log_stats()
        self._opened.close()
        log.removeHandler(self._lines)

    def _start(self, config: RunConfig) -> None:
        try:
            with ExitStack() as opened:
                backend = opened.enter_context(self._open_backend(config))
                for note in backend.notes:
                    log.warning("%s", note)
                own, service = self._bind(config, backend)
                service.start()
                with self._lock:
                    self._service, self._config, self._phase = service, own, Phase.RUNNING
                self._opened = opened.pop_all()
        except StreamderainError as error:
            self._fail(str(error))
        except Exception as error:
            log.exception("the cameras could not be started")
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, problem: str) -> None:
        with self._lock:
            self._phase, self._problem = Phase.FAILED, self._hide(problem)

    def _bind(self, config: RunConfig, backend: Backend) -> tuple[RunConfig, LiveService]:
        """Bind all outputs, at ports that are free on this node."""
        asked = sockets(config)
        wanted = config.cluster.ports
        for tried in range(TRIES):
            ports = free_ports(asked, parse_ports(wanted) if wanted else None)
            own = configuration_of(config, config.cameras, ports)
            try:
                return own, LiveService(own, backend)
            except OutputError:
                # Another worker of this node may have been quicker; what else is wrong stays so.
                if tried == TRIES - 1 or not asked:
                    raise
        raise AssertionError("unreachable")

    def _keep_lease(self, silence: float) -> None:
        while not self._stop.wait(LOOK_S):
            if self._clock() - self._asked_at >= silence:
                self._end()
                return

    def _brief(self, service: LiveService, config: RunConfig, name: str) -> CameraBrief:
        stats, bound = service.stats(name), service.addresses
        found: dict[str, list[str]] = {"pub": [], "push": []}
        for output in config.camera(name).outputs:
            if output.type == "zeromq" and output.address in bound:
                found[output.pattern].append(advertised(bound[output.address], self._host))
        return CameraBrief(
            stats.state, service.hide(stats.message) if stats.message else None,
            tuple(found["pub"]), tuple(found["push"]),
        )  # fmt: skip

    def _hide(self, text: str) -> str:
        service = self._service
        text = hide_secrets(text, self._secrets)
        return text if service is None else service.hide(text)


def free_ports(addresses: list[str], among: range | None = None) -> dict[str, int]:
    """Return a port for each address that nothing on this machine uses at this moment.

    Args:
        addresses: ``tcp://HOST:PORT``; of each only the host counts.
        among: to choose from; None for any.

    Raises:
        OutputError: there aren't enough.
    """
    found: dict[str, int] = {}
    with ExitStack() as held:  # until all are found, so that each is another
        for address in addresses:
            port = _hold(_host_of(address), among, held)
            if port is None:
                raise OutputError(
                    f"no port of {among.start}-{among.stop - 1} is free on this node; widen "
                    "cluster.ports"
                    if among
                    else "no port is free on this node"
                )
            found[address] = port
    return found


def _hold(host: str, among: range | None, held: ExitStack) -> int | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in among or (0,):
        probe = held.enter_context(socket.socket(family))
        with suppress(OSError):
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    return None


def _host_of(address: str) -> str:
    """Return what to bind a probe to; the name of an interface means any."""
    host = address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if host == "*":
        return ""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return ""
    return host


def _create(config: RunConfig) -> Backend:
    return create_backend(config.model, config.device, config.backend, config.precision)


class _Collector(logging.Handler):
    """Keeps what is logged until it is asked for."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._hide = hide
        self._kept: deque[LogLine] = deque(maxlen=LINES)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._kept.append(LogLine(record.levelno, self._hide(text), extras(record)))

    def take(self) -> tuple[LogLine, ...]:
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._kept.popleft())
        return tuple(taken)
