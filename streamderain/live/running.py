"""Run a configuration in the foreground, until a signal or until its files have ended."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType
from typing import TYPE_CHECKING

from streamderain.config import RunConfig
from streamderain.configcheck import exposed
from streamderain.inference.create import create_backend
from streamderain.live.service import LiveService
from streamderain.logs import LogFormat, set_up_logging
from streamderain.service.opening import open_service

if TYPE_CHECKING:
    from streamderain.service.server import WebService

__all__ = ["run_until_stopped"]

log = logging.getLogger("streamderain")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

KILLED = 130
"""The exit code where a second signal didn't let it finish."""


def run_until_stopped(
    config: RunConfig,
    *,
    model: str | None = None,
    device: str | None = None,
    log_format: LogFormat = "text",
) -> None:
    """Run the cameras; returns when they have ended, or after SIGINT or SIGTERM.

    With a web service it doesn't return before a signal: cameras may be added over it.

    The first signal lets what is under way be written and closes files and sockets; a second one
    leaves at once, with exit code 130.

    Raises:
        StreamderainError: the model, an address or a key can't be used.
    """
    web = open_service(config.service)
    try:
        _run(config, web, model, device, log_format)
    finally:
        if web is not None:
            web.stop()


def _run(
    config: RunConfig,
    web: WebService | None,
    model: str | None,
    device: str | None,
    log_format: LogFormat,
) -> None:
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(KILLED)
        stop.set()

    said = {key: value for key, value in (("model", model), ("device", device)) if value}
    config = config.model_copy(update=said)
    with create_backend(config.model, config.device, config.backend, config.precision) as backend:
        service = LiveService(config, backend)
        hide = service.hide if web is None else (lambda text: web.hide(service.hide(text)))
        set_up_logging(hide, log_format=log_format)
        for note in backend.notes:
            log.warning("%s", note)
        for note in exposed(config):
            log.warning("%s", note)
        for address in service.addresses.values():
            log.info("publishing at %s", address)
        log.info(
            "cameras: %d, through %s on %s (%s)",
            len(service.cameras),
            backend.name,
            backend.device,
            backend.runtime,
        )
        before = {number: signal.signal(number, on_signal) for number in SIGNALS}
        try:
            service.start()
            if web is not None:
                web.start(service.control, service.hide)
                log.info("web service at %s", web.address)
            while not stop.is_set() and (not service.wait(0.2) or web is not None):
                stop.wait(0.2 if web is not None else 0)
            log.info("stopping" if stop.is_set() else "all cameras have ended")
        finally:
            if web is not None:
                web.stop()
            service.stop()
            service.log_stats()
            for number, handler in before.items():
                signal.signal(number, handler)
