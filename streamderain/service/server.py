"""The web service's thread: an event loop of its own beside the cameras' threads."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from streamderain.errors import OutputError
from streamderain.live.control import Control
from streamderain.service.app import make_app
from streamderain.service.viewers import STUCK_S
from streamderain.serviceconfig import ServiceConfig
from streamderain.source import HIDDEN

__all__ = ["WebService"]

log = logging.getLogger("streamderain")

START_S = 10.0
STOP_S = 2
"""So long requests under way may take at the end."""

CONNECTIONS_MOST = 256
"""More aren't accepted: cameras and files need descriptors too."""

SILENT_S = 10.0
"""A connection that asks for nothing, or doesn't get to the end of it, is closed."""

SEND_BUFFER = 256 * 1024
"""Bytes that the system holds for one viewer."""

MESSAGE_MOST = 64 * 1024
"""Bytes of a viewer's message."""


class _Protocol(H11Protocol):
    """uvicorn's HTTP, which knows a limit of connections, and how to hang up at once."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timed_out = False
        self.app_state = {
            **self.app_state, "abort": transport.abort, "timed_out": lambda: self._timed_out,
        }  # fmt: skip
        if len(self.connections) > CONNECTIONS_MOST:
            transport.abort()
            return
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        # Before the rest, which tells those who send that it is over.
        self._timed_out = isinstance(exc, OSError) and exc.errno == errno.ETIMEDOUT
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # uvicorn limits how long a connection may rest, but not how long a head may take.
        if self.cycle is not None and self.cycle.response_complete and self.cycle is not self._told:
            self._expect_request()

    def _expect_request(self) -> None:
        """Hang up unless the next request is there in time."""
        last: object = self.cycle
        self._told = last
        self.loop.call_later(SILENT_S, self._hang_up_if_silent, last)

    def _hang_up_if_silent(self, last: object, is_sure: bool = False) -> None:
        if self.cycle is not last or self not in self.connections:
            return
        if is_sure:
            self.transport.abort()
        else:  # after a moment in which the machine stood still, a request may just wait here
            self.loop.call_later(1.0, self._hang_up_if_silent, last, True)


class WebService:
    """Serves page, REST and metrics until it is stopped.

    The address is taken at once, so that a port in use is known before cameras are connected to.

    Args:
        config: checked.

    Raises:
        OutputError: the address can't be had.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._config = config
        self._socket = _listen(config)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._let_go: Callable[[], None] | None = None

    @property
    def address(self) -> str:
        """Where it is, e.g. ``http://127.0.0.1:8080/``."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def hide(self, text: str) -> str:
        """Return a text without the token."""
        token = self._config.token
        return text.replace(token, HIDDEN) if token else text

    def start(self, control: Control, hide: Callable[[str], str]) -> None:
        """Begin to answer.

        Args:
            control: of what runs.
            hide: takes secrets out of a text.

        Raises:
            OutputError: it doesn't start.
        """
        app = make_app(
            self._config, control, lambda text: self.hide(hide(text)), on_start=self._remember
        )
        settings = uvicorn.Config(
            app, http=_Protocol, ws="websockets-sansio", loop="asyncio", lifespan="on",
            log_config=None, access_log=False, server_header=False,
            ws_max_size=MESSAGE_MOST, ws_per_message_deflate=False,
            timeout_keep_alive=15, timeout_graceful_shutdown=STOP_S, backlog=128,
        )  # fmt: skip
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = uvicorn.Server(settings)
        self._thread = threading.Thread(target=self._run, name="service", daemon=True)
        self._thread.start()
        for _ in range(int(START_S / 0.01)):
            if self._server.started or not self._thread.is_alive():
                break
            self._thread.join(0.01)
        if not self._server.started:
            raise OutputError(f"the web service at {self.address} doesn't start; the log says why")

    def stop(self) -> None:
        """Let all viewers go, answer what was asked, and give the address back."""
        if self._server is not None and self._thread is not None:
            if self._loop is not None and self._let_go is not None:
                self._call(self._let_go)
            self._server.should_exit = True
            self._thread.join(STOP_S + 3)
        self._socket.close()

    def _call(self, work: Callable[[], None]) -> None:
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(work)

    def _remember(self, let_go: Callable[[], None]) -> None:
        self._loop, self._let_go = asyncio.get_running_loop(), let_go

    def _run(self) -> None:
        assert self._server is not None
        try:
            self._server.run(sockets=[self._socket])
        except BaseException:  # the thread's end; SystemExit too is only this thread's
            log.exception("the web service has ended")


def _listen(config: ServiceConfig) -> socket.socket:
    where = f"service.address {config.address}"
    try:
        found = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise OutputError(f"{where} can't be resolved ({error.strerror}); check it") from error
    # Of a name that has both, such as localhost, the address that everybody tries.
    family, _, _, _, place = min(found, key=lambda one: one[0] != socket.AF_INET)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Those that are accepted inherit these.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        _limit_silence(listening)
        listening.bind(place)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise OutputError(f"{where} {_reason(error)}") from error
    return listening


def _limit_silence(listening: socket.socket) -> None:
    """Let the system too hang up on those that take nothing, where it can."""
    option: Any = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        listening.setsockopt(socket.IPPROTO_TCP, option, int(STUCK_S * 2000))


def _reason(error: OSError) -> str:
    return {
        errno.EADDRINUSE: "is in use; stop the other program, or choose another port",
        errno.EACCES: "may not be taken by this user; choose a port above 1023",
        errno.EADDRNOTAVAIL: "is no address of this machine; 0.0.0.0 stands for all of them",
    }.get(error.errno or 0, f"can't be listened at ({error.strerror})")
