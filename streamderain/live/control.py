"""See and steer the cameras while they run; what a web page, a REST interface, metrics stand on."""

from __future__ import annotations

from typing import Any

from streamderain.config import CameraConfig
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

    def cameras(self) -> list[CameraReport]:
        """Return what there is to say of every camera, in the order in which they were added."""
        raise NotImplementedError

    def camera(self, name: str) -> CameraReport:
        """Return what there is to say of a camera.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        raise NotImplementedError

    def put(self, name: str, camera: CameraConfig) -> bool:
        """Add a camera, or change one: it is started anew, the others go on untouched.

        What ``camera`` doesn't say itself is taken from the configuration's ``defaults``. A changed
        camera first writes what is on its way (up to a few seconds), keeps its mode and whether it
        is paused, and counts from 0 again, as a new ``run`` for its subscribers. One that is the
        same as before is left alone. Nothing is changed where an error is raised.

        Returns:
            Whether it is new.

        Raises:
            ConfigError: it can't be: the name, or an address shared with others that they use
                otherwise.
            OutputError: an address is in use, or a folder can't be made.
            InputError: a key can't be read.
        """
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Remove a camera: what is on its way is written (up to a few seconds), the rest dropped
        as ``removed``; its subscribers hear a last event of the state ``ended``.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        raise NotImplementedError

    def steer(self, name: str, *, paused: bool | None = None, mode: Mode | None = None) -> None:
        """Pause a camera or let it go on, and say when it is derained; None leaves it as it is.

        Raises:
            UnknownCameraError: there is none of that name.
            UsageError: there is no such mode.
        """
        raise NotImplementedError

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
        raise NotImplementedError

    def model(self) -> ModelReport:
        """Return what there is to say of the network that runs."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Return the effective configuration as plain data (for JSON or YAML), secrets as ``***``.

        Every camera says all its keys, with what it has from ``defaults``.
        """
        raise NotImplementedError

    def pair(self, name: str) -> Pair | None:
        """Return the newest frame of a camera that left, before and after; None before the first.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        raise NotImplementedError

    def wait_pair(self, name: str, newer_than: int, timeout: float) -> Pair | None:
        """Wait for a frame newer than a version (0 for any); None after ``timeout`` seconds.

        Returns None at once where the camera is removed meanwhile, or the service stops.

        Raises:
            UnknownCameraError: there is none of that name.
        """
        raise NotImplementedError

    def changes(self) -> int:
        """Return a number that grows when a camera comes, goes, is changed or steered, when its
        state changes, and when the network changes.
        """
        raise NotImplementedError

    def wait_change(self, newer_than: int, timeout: float) -> int:
        """Wait until :meth:`changes` is larger, at most ``timeout`` seconds; return it."""
        raise NotImplementedError

    def ready(self) -> str | None:
        """Return what the service still waits for, as a sentence, or None once it is ready.

        It is ready when every camera that isn't paused was live once (or has ended), or 30 s after
        it was started.
        """
        raise NotImplementedError

    def alive(self) -> bool:
        """Say whether the watching thread runs and looked at the cameras within the last 5 s."""
        raise NotImplementedError

    def hide(self, text: str) -> str:
        """Return a text without the cameras' secrets."""
        raise NotImplementedError
