"""``VideoCapture``: OpenCV's class of that name, whose frames come without rain."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, TypedDict, Unpack

import cv2
import numpy as np

from streamderain.api.derainer import Derainer
from streamderain.api.opening import open_clean
from streamderain.api.video import CleanVideo
from streamderain.errors import StreamderainError
from streamderain.frame import Frame, Pixels
from streamderain.inference.gate import GateConfig

__all__ = ["CaptureSettings", "VideoCapture"]

log = logging.getLogger("streamderain")

BACKEND = "STREAMDERAIN"

TIMEOUT_MS = 30_000.0
"""OpenCV's own, for opening as for reading."""

RATE_S = 2.0
"""How long a camera's first frames are waited for where somebody asks for its rate."""


class CaptureSettings(TypedDict, total=False):
    """What :class:`VideoCapture` takes beside OpenCV's arguments; see :func:`open_clean`."""

    model: str | Path | None
    derainer: Derainer | None
    live: bool | None
    always: bool
    gate: GateConfig | None
    lookahead: int
    staleness: float | None
    user: str | None
    password: str | None


class VideoCapture:
    """Looks like ``cv2.VideoCapture``, and gives frames without rain: uint8 H×W×3 BGR.

    Example::

        capture = streamderain.VideoCapture("rtsp://10.0.0.5/live")  # was: cv2.VideoCapture(...)
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            detect(frame)

    What is different from OpenCV's:

    - A camera gives its newest frame, however slow its reader is; OpenCV's gives old ones.
    - A camera that is lost is connected to anew; ``read()`` fails only after
      ``CAP_PROP_READ_TIMEOUT_MSEC`` without a frame, 30 s as OpenCV's.
    - ``grab()`` without ``retrieve()`` costs no network.
    - Looking for a frame by ``CAP_PROP_POS_FRAMES`` goes by its time and the frame rate.

    As with OpenCV, what can't be opened or read is no exception but ``False``, unless
    ``setExceptionMode(True)``; why is logged, and in :attr:`error`.

    Args:
        filename: a file, an address, a webcam's number, or ``scene:heavy``; None opens nothing.
        apiPreference: is of no interest here.
        params: pairs of properties and values, as for :meth:`set`.
        settings: ``model``, ``always`` and so on; see :func:`streamderain.open_clean`.

    Attributes:
        error: why it could not be opened or read, in a sentence; None where it could.
        frame: the last frame that was retrieved, with what is known of it (``derained``,
            ``bypass``, ``rain``, times); its pixels are RGB.
    """

    def __init__(
        self,
        filename: str | Path | int | None = None,
        apiPreference: int = cv2.CAP_ANY,  # noqa: N803 - OpenCV's name
        params: list[int] | None = None,
        **settings: Unpack[CaptureSettings],
    ) -> None:
        self.error: str | None = None
        self.frame: Frame | None = None
        self._settings = settings
        self._video: CleanVideo | None = None
        self._first = False
        self._raises = False
        self._timeouts = {
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC: TIMEOUT_MS,
        }
        if filename is not None:
            self.open(filename, apiPreference, params)

    def open(
        self,
        filename: str | Path | int,
        apiPreference: int = cv2.CAP_ANY,  # noqa: N803
        params: list[int] | None = None,
    ) -> bool:
        """Open a source, letting go of the one before; True where there is a first frame."""
        self.release()
        self.error = None
        given = list(params or [])
        for name, value in zip(given[::2], given[1::2], strict=False):
            if name in self._timeouts:
                self._timeouts[name] = float(value)
        try:
            self._video = open_clean(
                filename, timeout=self._timeouts[cv2.CAP_PROP_OPEN_TIMEOUT_MSEC] / 1000,
                **self._settings,
            )  # fmt: skip
            if self._video.live:
                # OpenCV's is open when it knows the size; so the first frame is there already.
                self._first = self._video.grab()
                if not self._first:
                    self.release()
                    return self._failed("the source ended before its first frame")
        except StreamderainError as error:
            self.release()
            return self._failed(str(error))
        return True

    def isOpened(self) -> bool:  # noqa: N802
        """Whether there is a source."""
        return self._video is not None

    def read(self, image: Pixels | None = None) -> tuple[bool, Pixels | None]:
        """Return whether there was a next frame, and that frame without rain.

        Args:
            image: an array to write it into, where its size is that of the frame.
        """
        return self.retrieve(image) if self.grab() else (False, None)

    def grab(self) -> bool:
        """Go to the next frame; whether there was one."""
        if self._video is None:
            return False
        if self._first:
            self._first = False
            return True
        self._video.timeout = self._timeouts[cv2.CAP_PROP_READ_TIMEOUT_MSEC] / 1000
        try:
            return self._video.grab()
        except StreamderainError as error:
            return self._failed(str(error))

    def retrieve(self, image: Pixels | None = None, flag: int = 0) -> tuple[bool, Pixels | None]:
        """Return whether a frame was grabbed, and that frame without rain."""
        if self._video is None or not self._video.grabbed:
            return False, None
        try:
            self.frame = self._video.retrieve()
        except StreamderainError as error:
            return self._failed(str(error)), None
        fits = image is not None and image.shape == self.frame.pixels.shape
        found = cv2.cvtColor(self.frame.pixels, cv2.COLOR_RGB2BGR, dst=image if fits else None)
        return True, np.asarray(found, np.uint8)

    def get(self, propId: int) -> float:  # noqa: N803
        """Return a property; where it isn't known, what OpenCV says then: 0, or -1 from 5 on."""
        if propId in self._timeouts:
            return self._timeouts[propId]
        video = self._video
        if video is None:
            return _unknown(propId)
        height, width = video.size or (0, 0)
        frames = video.frames or 0
        known: dict[int, float] = {
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FRAME_COUNT: frames,
            cv2.CAP_PROP_POS_FRAMES: video.position - self._first,
            cv2.CAP_PROP_POS_MSEC: 1000 * video.seconds,
            cv2.CAP_PROP_POS_AVI_RATIO: min(1.0, video.position / frames) if frames else 0.0,
            cv2.CAP_PROP_CONVERT_RGB: 1,
            cv2.CAP_PROP_FORMAT: cv2.CV_8UC3,
            cv2.CAP_PROP_BUFFERSIZE: 1 if video.live else 0,
        }
        if propId == cv2.CAP_PROP_FPS:
            return round(video.measured_fps(RATE_S) or 0.0, 2) if video.live else video.fps or 0.0
        return float(known[propId]) if propId in known else _unknown(propId)

    def set(self, propId: int, value: float) -> bool:  # noqa: N803
        """Set a property: the position in a recording, or a timeout; whether it could be."""
        if propId in self._timeouts:
            self._timeouts[propId] = float(value)
            return True
        video = self._video
        if video is None:
            return False
        if propId in (cv2.CAP_PROP_BUFFERSIZE, cv2.CAP_PROP_CONVERT_RGB):
            return value == self.get(propId)
        rate, frames = video.fps or 25.0, video.frames or 0
        places = {
            cv2.CAP_PROP_POS_MSEC: value / 1000 * rate,
            cv2.CAP_PROP_POS_FRAMES: value,
            cv2.CAP_PROP_POS_AVI_RATIO: value * frames,
        }
        if propId not in places:
            return False
        try:
            return video.seek(round(places[propId]))
        except StreamderainError as error:
            return self._failed(str(error))

    def release(self) -> None:
        """Let go of the source; harmless twice."""
        video, self._video, self._first = self._video, None, False
        if video is not None:
            video.close()

    def getBackendName(self) -> str:  # noqa: N802
        """Return what reads the source, in OpenCV's way of naming it."""
        if self._video is None:
            raise cv2.error("nothing is open")
        return BACKEND

    def setExceptionMode(self, enable: bool) -> None:  # noqa: N802
        """Raise ``cv2.error`` where something fails, instead of returning False."""
        self._raises = bool(enable)

    def getExceptionMode(self) -> bool:  # noqa: N802
        """Whether ``cv2.error`` is raised where something fails."""
        return self._raises

    def __enter__(self) -> VideoCapture:
        return self

    def __exit__(self, *reason: Any) -> None:
        self.release()

    def _failed(self, message: str) -> bool:
        self.error = message
        log.warning("%s", message)
        if self._raises:
            raise cv2.error(message)
        return False


def _unknown(name: int) -> float:
    """Return what OpenCV's own says of a property that it doesn't know."""
    return float(cv2.VideoCapture().get(name))
