"""``streamderain run --ray``: the cameras of a configuration over the nodes of a cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType

from streamderain.cluster.connecting import connected
from streamderain.cluster.livedriver import Driver
from streamderain.cluster.liveplacing import check_spreadable, local_notes, secrets_of
from streamderain.cluster.liveray import RayWorkers
from streamderain.cluster.livewatch import WatchSettings
from streamderain.config import RunConfig
from streamderain.configcheck import exposed
from streamderain.logs import LogFormat, set_up_logging
from streamderain.source import hide_secrets
from streamderain.wire import AddressHeader, encode_message
from streamderain.writers.zeromq import PublisherSettings, ZeroMqPublisher

__all__ = ["open_book", "publish", "run_on_cluster"]

log = logging.getLogger("streamderain")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

KILLED = 130
"""The exit code where a second signal didn't let it finish."""

STEP_S = 0.05
"""How often workers' answers are looked for."""

STOP_S = 15.0
"""How long workers may take to write what is under way; LiveService needs up to 12 s."""


def run_on_cluster(
    config: RunConfig,
    address: str,
    *,
    model: str | None = None,
    device: str | None = None,
    log_format: LogFormat = "text",
) -> None:
    """Run the cameras; returns when they have ended, or after SIGINT or SIGTERM.

    The first signal lets workers write what is under way and close files and sockets; a second one
    leaves at once, with exit code 130, and Ray ends the workers.

    Args:
        config: checked.
        address: of the cluster; see :func:`~streamderain.cluster.connecting.connected`.
        model, device: instead of the configuration's.
        log_format: of the lines on standard error.

    Raises:
        ConfigError: something of the configuration can't be spread over nodes.
        ClusterError: there is no such cluster, or its head is gone.
        OutputError: the address of the book is in use.
        InputError: a key of the book can't be read.
    """
    said = {key: value for key, value in (("model", model), ("device", device)) if value}
    config = config.model_copy(update=said)
    check_spreadable(config)
    secrets = secrets_of(config)
    with open_book(config) as book, _quiet(), connected(address) as ray:
        set_up_logging(lambda text: hide_secrets(text, secrets), log_format=log_format)
        for note in [*exposed(config), *local_notes(config)]:
            log.warning("%s", note)
        log.info("address book at %s", book.address)
        cluster = config.cluster
        settings = WatchSettings(silence=cluster.silence)
        driver = Driver(config, RayWorkers(ray, cluster), settings)
        log.info("cameras: %d, workers: %d", len(config.cameras), driver.workers)
        _follow(driver, book)


def open_book(config: RunConfig) -> ZeroMqPublisher:
    """Take the address of the book.

    Raises:
        OutputError: it is in use.
        InputError: a key can't be read.
    """
    curve = config.cluster.curve
    return ZeroMqPublisher(
        PublisherSettings(
            config.cluster.book, high_water_mark=10 * len(config.cameras),
            secret_key=curve.secret_key if curve else None,
            clients=curve.clients if curve else None,
        )
    )  # fmt: skip


def publish(book: ZeroMqPublisher, entries: list[AddressHeader]) -> None:
    """Tell whoever listens to the book."""
    for entry in entries:
        book.send(encode_message(entry))


def _follow(driver: Driver, book: ZeroMqPublisher) -> None:
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(KILLED)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        while not stop.wait(STEP_S) and not driver.all_ended:
            publish(book, driver.step())
        log.info("stopping" if stop.is_set() else "all cameras have ended")
    finally:
        try:
            publish(book, driver.stop(STOP_S))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep standard output clean: there Ray prints pages of a raylet's state when a node dies,
    whatever ``log_to_driver`` says. Its log files have them, and we say in a line what happens.
    """
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        yield
