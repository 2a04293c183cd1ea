"""See and steer the cameras while they run; what a web page, a REST interface, metrics stand on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from streamderain.channel import Cancelled
from streamderain.config import CameraConfig
from streamderain.errors import UnknownCameraError
from streamderain.inference.backend import Backend
from streamderain.live.engine import Engine
from streamderain.live.exchange import Exchange
from streamderain.live.fleet import Fleet
from streamderain.live.hiding import plain_config
from streamderain.live.reports import (
    MODES,
    STAGES,
    CameraReport,
    Latency,
    Mode,
    ModelReport,
    Moment,
    Pair,
)

__all__ = [
    "MODES", "STAGES", "CameraReport", "Control", "Latency", "Mode", "ModelReport", "Moment",
    "Pair",
]  # fmt: skip

READY_S = 30.0
"""How long cameras may take to come before the service counts as ready without them."""


class Control:
    """What can be asked of a running service and done to it, from any thread.

    Made by :class:`~streamderain.live.service.LiveService`: ``service.control``. Reading never
    waits for anything; what changes says so.

    Example::

        control = service.control
        control.put("yard", CameraConfig(source="rtsp://10.0.0.7/live"))
        control.steer("yard", mode="on")
        control.camera("yard").fps
        control.remove("yard")
    """

    def __init__(
        self,
        fleet: Fleet,
        engine: Engine,
        exchange: Exchange,
        open_model: Callable[[str], Backend],
        *,
        is_alive: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._engine, self._exchange = fleet, engine, exchange
        self._open_model, self._is_alive, self._clock = open_model, is_alive, clock
        self._started_at: float | None = None

    def started(self) -> None:
        """Note that the cameras are being started now."""
        self._started_at = self._clock()

    def cameras(self) -> list[CameraReport]:
        """Return what there is to say of every camera, in the order in which they were added."""
        return [unit.report() for unit in self._fleet.units.values()]

    def camera(self, name: str) -> CameraReport:
        """Return what there is to say of a camera.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        return self._fleet.unit(name).report()

    def put(self, name: str, camera: CameraConfig, *, only_new: bool = False) -> bool:
        """Add a camera, or change one: it is started anew, the others go on untouched.

        What ``camera`` doesn't say itself is taken from the configuration's ``defaults``. A changed
        camera first writes what is on its way (up to a few seconds), keeps its mode and whether it
        is paused, and counts from 0 again, as a new ``run`` for its subscribers. One that is the
        same as before is left alone. ``***`` for user and password keeps those of before, for the
        same scheme, host and port alone. Nothing is changed where an error is raised.

        Args:
            name: its id.
            camera: its settings.
            only_new: add one, and leave alone what is there.

        Returns:
            Whether it is new.

        Raises:
            CameraExistsError: there is one of that name, and only a new one is wanted.
            ConfigError: it can't be: the name, what can't be kept, or an address shared with
                others that they use otherwise.
            OutputError: an address is in use, or a folder can't be made.
            InputError: a key can't be read.
        """
        return self._fleet.put(name, camera, only_new=only_new)

    def remove(self, name: str) -> None:
        """Remove a camera: what is on its way is written (up to a few seconds), the rest dropped
        as ``removed``; its subscribers hear a last event of the state ``ended``.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        self._fleet.remove(name)

    def steer(self, name: str, *, paused: bool | None = None, mode: Mode | None = None) -> None:
        """Pause a camera or let it go on, and say when it is derained; None leaves it as it is.

        Raises:
            UnknownCameraError: there is none of that name.
            UsageError: there is no such mode.
        """
        self._fleet.steer(name, paused, mode)

    def reload_model(self, name: str | None = None) -> ModelReport:
        """Open a network, let it take over between two batches, then close the old one.

        Takes seconds; frames go on through the old network meanwhile, and stay with it where the
        new one can't be opened.

        Args:
            name: of a shipped network, or an ``.onnx`` file; None opens the same one again, from
                its file.

        Raises:
            ModelError: it can't be had or doesn't run, or another reload is under way.
        """
        wanted = name or self._fleet.config.model
        pairs = [unit.figures().newest for unit in self._fleet.units.values()]
        self._engine.reload(
            lambda: self._open_model(wanted), self._exchange,
            [pair.before for pair in pairs if pair is not None],
            lambda needs: self._fleet.adapt(wanted, needs),
        )  # fmt: skip
        return self._engine.report()

    def model(self) -> ModelReport:
        """Return what there is to say of the network that runs."""
        return self._engine.report()

    def config(self) -> dict[str, Any]:
        """Return the effective configuration as plain data (for JSON or YAML), secrets as ``***``.

        Every camera says all its keys, with what it has from ``defaults``.
        """
        return plain_config(self._fleet.config, self.hide)

    def pair(self, name: str) -> Pair | None:
        """Return the newest frame of a camera that left, before and after; None before the first.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        return self._fleet.unit(name).figures().newest

    def wait_pair(self, name: str, newer_than: int, timeout: float) -> Pair | None:
        """Wait for a frame newer than a version (0 for any); None after ``timeout`` seconds.

        Returns None at once where the camera is removed meanwhile, or the service stops.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        until = self._clock() + timeout
        key = self._fleet.unit(name).key
        while True:
            try:
                left = max(0.0, until - self._clock())
                return self._exchange.wait_newest(key, newer_than, left)
            except Cancelled:
                # Changed, perhaps: then it goes on under another key.
                try:
                    before, key = key, self._fleet.unit(name).key
                except UnknownCameraError:
                    return None
                if key == before:
                    return None

    def changes(self) -> int:
        """Return a number that grows when a camera comes, goes, is changed or steered, when its
        state changes, and when the network changes.
        """
        return self._fleet.changes.count

    def wait_change(self, newer_than: int, timeout: float) -> int:
        """Wait until :meth:`changes` is larger, at most ``timeout`` seconds; return it."""
        return self._fleet.changes.wait(newer_than, timeout)

    def ready(self) -> str | None:
        """Return what the service still waits for, as a sentence, or None once it is ready.

        It is ready when every camera that isn't paused was live once (or has ended), or 30 s after
        it was started.
        """
        if self._started_at is None:
            return "it has not been started"
        if self._clock() - self._started_at >= READY_S:
            return None
        missing = [name for name, unit in self._fleet.units.items() if not unit.worker.was_up]
        return f"no picture yet of {', '.join(missing)}" if missing else None

    def alive(self) -> bool:
        """Say whether the watching thread runs and looked at the cameras within the last 5 s."""
        return self._is_alive()

    def hide(self, text: str) -> str:
        """Return a text without the cameras' secrets."""
        return self._fleet.hide(text)
