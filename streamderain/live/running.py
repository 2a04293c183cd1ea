"""Run a configuration in the foreground, until a signal or until its files have ended."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType

from streamderain.config import RunConfig
from streamderain.configcheck import exposed
from streamderain.inference.create import create_backend
from streamderain.live.service import LiveService
from streamderain.logs import set_up_logging

__all__ = ["run_until_stopped"]

log = logging.getLogger("streamderain")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

KILLED = 130
"""The exit code where a second signal didn't let it finish."""


def run_until_stopped(
    config: RunConfig, *, model: str | None = None, device: str | None = None
) -> None:
    """Run the cameras; returns when they have ended, or after SIGINT or SIGTERM.

    The first signal lets what is under way be written and closes files and sockets; a second one
    leaves at once, with exit code 130.

    Raises:
        StreamderainError: the model, an address or a key can't be used.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(KILLED)
        stop.set()

    said = {key: value for key, value in (("model", model), ("device", device)) if value}
    config = config.model_copy(update=said)
    with create_backend(config.model, config.device, config.backend, config.precision) as backend:
        service = LiveService(config, backend)
        set_up_logging(service.hide)
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
            while not stop.is_set() and not service.wait(0.2):
                pass
            log.info("stopping" if stop.is_set() else "all cameras have ended")
        finally:
            service.stop()
            service.log_stats()
            for number, handler in before.items():
                signal.signal(number, handler)
