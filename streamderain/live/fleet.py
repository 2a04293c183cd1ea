"""All cameras that run, and how they come, change and go."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

from pydantic import ValidationError

from streamderain.config import CameraConfig, RunConfig, ZeroMqOutput
from streamderain.errors import (
    CameraExistsError,
    ConfigError,
    StreamderainError,
    UnknownCameraError,
    UsageError,
)
from streamderain.live.changes import Changes
from streamderain.live.engine import Needs
from streamderain.live.exchange import Exchange
from streamderain.live.keeping import keep_secrets
from streamderain.live.opening import open_source
from streamderain.live.publishers import Publishers
from streamderain.live.reports import MODES, Mode
from streamderain.live.supervision import Change
from streamderain.live.unit import Surroundings, Unit
from streamderain.readers.live import LiveSource
from streamderain.source import Source, hide_secrets
from streamderain.writers.zeromq import new_run

__all__ = ["Fleet"]

log = logging.getLogger("streamderain")

DRAIN_S = 5.0
"""How long frames under way may take to be written where a camera goes, or all of them."""

SPARE = 4
"""Cameras that may be added to each address without less room for each, where they can be."""

HANG_UP_S = 1.0
"""How long all readers together may take at the end; one that is just connecting may need more."""

CALM = ("live", "ended", "paused")
"""States that are no reason to worry."""


class Fleet:
    """Cameras by id.

    Changes are made one after the other; looking never waits for them. What is done to one camera
    doesn't touch the others.

    Args:
        config: checked.
        exchange: where frames go.
        needs: how the network wants its frames.
        connect: opens a camera's source.
        clock: monotonic seconds.
        wall: seconds since 1970.

    Attributes:
        changes: what happened to any of them, counted.
        publishers: their sockets.
        run: of the messages of those cameras that are there from the start.

    Raises:
        OutputError: an address is in use, or a folder can't be made.
        InputError: a key can't be read.
    """

    def __init__(
        self,
        config: RunConfig,
        exchange: Exchange,
        needs: Needs,
        *,
        connect: Callable[[CameraConfig, Source], LiveSource] = open_source,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._exchange, self._needs, self._clock = config, exchange, needs, clock
        self.changes = Changes()
        self.publishers = Publishers(_sharing(config), SPARE if config.service else 0)
        self._around = Surroundings(
            exchange, self.publishers, connect, self._tell, self.hide, clock, wall
        )
        self._changing = threading.Lock()
        """Held while cameras come and go, which may take seconds."""
        self._steering = threading.Lock()
        """Held while one unit takes another's place, or is steered: never for long."""
        self._units: dict[str, Unit] = {}
        """Replaced, never written to: whoever looks through it needs no lock."""
        self._secrets: tuple[str, ...] = ()
        self.run, self._number = new_run(), 0
        self._started_at: float | None = None
        self._stopped = False
        try:
            for name in config.cameras:
                self._install(self._make(name, config.camera(name)))
        except BaseException:
            for unit in self._units.values():
                unit.discard()
            raise

    @property
    def config(self) -> RunConfig:
        """The configuration as it is now."""
        return self._config

    @property
    def units(self) -> dict[str, Unit]:
        """All cameras, at this moment; not to be written to."""
        return self._units

    def unit(self, name: str) -> Unit:
        """Return a camera.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        units = self._units
        if name not in units:
            there = f"there are {', '.join(units)}" if units else "there is none"
            raise UnknownCameraError(f"no camera is named {name!r}; {there}")
        return units[name]

    def start(self) -> None:
        """Start the writers of all cameras, and of those to come."""
        with self._changing:
            self._started_at = self._clock()
            for unit in self._units.values():
                unit.start()

    def tend(self) -> None:
        """Do what is due for each camera."""
        for unit in self._units.values():
            unit.tend(self._clock())

    def put(self, name: str, camera: CameraConfig, *, only_new: bool = False) -> bool:
        """Add or change a camera; see :meth:`.control.Control.put`."""
        with self._changing:
            self._check_running()
            if only_new and name in self._units:
                raise CameraExistsError(
                    f"there is a camera {name} already; change it, or choose another name"
                )
            old = self._units.get(name)
            camera = keep_secrets(camera, old.camera if old else None)
            config = _with_camera(self._config, name, camera)
            wanted = config.camera(name)
            if old is None:
                self._install(self._make(name, wanted))
                log.info("%s: added", name)
            elif old.camera != wanted:
                self._replace(old, wanted)
                log.info("%s: changed", name)
            with self._steering:  # another network may have come meanwhile
                self._config = config.model_copy(update={"model": self._config.model})
        self.changes.note()
        return old is None

    def remove(self, name: str) -> None:
        """Remove a camera; see :meth:`.control.Control.remove`."""
        with self._changing:
            self._check_running()
            unit = self.unit(name)
            self._retire(unit, "the camera was removed")
            self._forget(unit)
            log.info("%s: removed", name)
        self.changes.note()

    def steer(self, name: str, paused: bool | None, mode: Mode | None) -> None:
        """Pause, resume, force; see :meth:`.control.Control.steer`."""
        if mode is not None and mode not in MODES:
            raise UsageError(f"the mode is {', '.join(MODES)}, not {mode!r}")
        with self._steering:
            worker = self.unit(name).worker
            if mode is not None:
                worker.mode = mode
            if paused is not None:
                (worker.pause if paused else worker.resume)()
        self.changes.note()

    def adapt(self, model: str, needs: Needs) -> None:
        """Let all cameras, and those to come, give their frames as another network wants them.

        Args:
            model: its name, for the configuration.
            needs: how it wants them.
        """
        with self._steering:
            self._needs = needs
            for unit in self._units.values():
                unit.worker.adapt(needs.bypass, remembers=needs.remembers, planes=needs.planes)
            self._config = self._config.model_copy(update={"model": model})
        self.changes.note()

    def stop(self) -> None:
        """Take no more frames and write those under way; the threads are still to be ended."""
        held = self._changing.acquire(timeout=DRAIN_S)  # for a change that is under way
        with self._steering:  # what another thread is just opening doesn't come in any more
            self._stopped = True
        try:
            for unit in self._units.values():
                unit.worker.stop()
            self._exchange.close()
            until = self._clock() + DRAIN_S
            for name, unit in self._units.items():
                if not self._exchange.drain(unit.key, max(0.0, until - self._clock())):
                    log.warning("%s: not all frames under way could be written", name)
        finally:
            if held:
                self._changing.release()

    def end(self, timeout: float) -> None:
        """End the threads after the exchange was cancelled, and give back all sockets."""
        until = self._clock() + timeout
        for unit in self._units.values():
            unit.end(max(0.1, until - self._clock()))
        until = self._clock() + HANG_UP_S
        for unit in self._units.values():
            unit.worker.join(max(0.0, until - self._clock()))
        self.changes.end()

    @property
    def all_ended(self) -> bool:
        """Whether there are cameras and every one has ended, as files do."""
        units = self._units
        return bool(units) and all(unit.worker.state()[0] == "ended" for unit in units.values())

    def hide(self, text: str) -> str:
        """Return a text without the secrets of any camera that there was."""
        return hide_secrets(text, self._secrets)

    def _make(self, name: str, camera: CameraConfig) -> Unit:
        # A message about its secrets may come before it is there.
        self._note_secrets(camera.parsed.secrets)
        self._number += 1
        run = self.run if self._started_at is None else new_run()
        unit = Unit(name, f"{name}/{self._number}", camera, run, self._needs, self._around)
        self._note_secrets(unit.secrets)
        return unit

    def _install(self, unit: Unit) -> None:
        """Let a unit take its place, steered as the one before it was.

        Raises:
            ConfigError: all was stopped while it was made; it is closed.
        """
        with self._steering:
            if not self._stopped:
                self._let_in(unit)
                return
        unit.discard()
        self._check_running()

    def _let_in(self, unit: Unit) -> None:
        before = self._units.get(unit.name)
        if before is not None:
            unit.worker.mode = before.worker.mode
            if before.worker.paused:
                unit.worker.pause()
        needs = self._needs
        unit.worker.adapt(needs.bypass, remembers=needs.remembers, planes=needs.planes)
        unit.enter()
        if self._started_at is not None:
            unit.start()
        self._units = {**self._units, unit.name: unit}

    def _replace(self, old: Unit, camera: CameraConfig) -> None:
        sockets = [output for output in camera.outputs if isinstance(output, ZeroMqOutput)]
        if not any(self.publishers.is_bound_otherwise(output) for output in sockets):
            new = self._make(old.name, camera)  # where that fails, the old one goes on
            self._retire(old, "the camera was changed", {output.address for output in sockets})
            self._install(new)
            return
        # It alone uses the address, and wants it with other settings: the old socket goes first.
        self._retire(old, "the camera was changed", {output.address for output in sockets})
        try:
            new = self._make(old.name, camera)
        except StreamderainError:
            self._restore(old)
            raise
        self._install(new)

    def _restore(self, old: Unit) -> None:
        try:
            self._install(self._make(old.name, old.camera))
        except StreamderainError as error:
            log.error("%s: it can't go on as it was either and is removed: %s", old.name, error)
            self._forget(old)

    def _forget(self, unit: Unit) -> None:
        with self._steering:
            self._units = {name: one for name, one in self._units.items() if one is not unit}
            cameras = {name: one for name, one in self._config.cameras.items() if name != unit.name}
            self._config = self._config.model_copy(update={"cameras": cameras})

    def _retire(self, unit: Unit, farewell: str, staying: set[str] | None = None) -> None:
        if not unit.quiesce(DRAIN_S if self._started_at is not None else 0.0):
            log.warning("%s: not all frames under way could be written", unit.name)
        if not unit.leave(farewell, staying):
            log.warning("%s: a writer hangs and is left to itself", unit.name)

    def _check_running(self) -> None:
        if self._stopped:
            raise ConfigError("streamderain is stopping; cameras can't be changed any more")

    def _note_secrets(self, secrets: list[str] | tuple[str, ...]) -> None:
        self._secrets = tuple(dict.fromkeys((*self._secrets, *secrets)))

    def _tell(self, name: str, change: Change) -> None:
        state = change.state.value
        message = f": {self.hide(change.message)}" if change.message else ""
        level = logging.INFO if state in CALM else logging.WARNING
        log.log(level, "%s: %s%s", name, state, message, extra={"camera": name, "state": state})
        unit = self._units.get(name)
        if unit is not None:
            unit.tell("state")
        self.changes.note()


def _sharing(config: RunConfig) -> Counter[str]:
    """Return how many cameras publish at each address."""
    return Counter(
        address
        for name in config.cameras
        for address in {
            o.address for o in config.camera(name).outputs if isinstance(o, ZeroMqOutput)
        }
    )


def _with_camera(config: RunConfig, name: str, camera: CameraConfig) -> RunConfig:
    """Return a configuration with one more camera, or another one of that name, checked."""
    said = {key: getattr(config, key) for key in config.model_fields_set}
    try:
        return RunConfig.model_validate({**said, "cameras": {**config.cameras, name: camera}})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "string_pattern_mismatch":
            message = "a camera's id is 1 to 64 letters, digits, dots, dashes and underscores"
        else:
            message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(message) from None
