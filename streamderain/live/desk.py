"""One output of one camera: the thread that writes, and what its subscribers are told."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

from streamderain.channel import Cancelled
from streamderain.errors import OutputError
from streamderain.frame import Frame
from streamderain.live.counts import CameraCount
from streamderain.live.exchange import Exchange
from streamderain.live.opening import Opened
from streamderain.live.outlet import WRITER_ERROR
from streamderain.writers.base import LeftOutError

__all__ = ["Desk"]

log = logging.getLogger("streamderain")

SAY_AGAIN_S = 5.0
"""A writer that failed says so again after this time."""


class Desk:
    """Takes a camera's frames from the exchange to a writer, in a thread of its own.

    That thread also closes the writer in the end, so that nothing is closed while it is written to.

    Args:
        camera: id, for the log.
        key: what the exchange knows the camera by.
        outlet: what it knows the writer by.
        opened: the writer; closed here.
        exchange: gives the frames.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        camera: str,
        key: str,
        outlet: str,
        opened: Opened,
        exchange: Exchange,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outlet = outlet
        self._camera, self._key, self._opened = camera, key, opened
        self._exchange, self._clock = exchange, clock
        self._thread: threading.Thread | None = None
        self._beaten = self._said_at = float("-inf")

    @property
    def unsent(self) -> int:
        """Messages that no worker took."""
        return self._opened.teller.unsent if self._opened.teller else 0

    def start(self) -> None:
        """Start the thread; it ends when the camera is gone, or everything has ended."""
        self._thread = threading.Thread(
            target=self._serve, name=f"{self.outlet} {self._camera}", daemon=True
        )
        self._thread.start()

    def end(self, timeout: float) -> bool:
        """Wait for the thread to end; False where it is still busy, and left to itself."""
        if self._thread is None:
            self._close()
            return True
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._opened.give_up()
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def is_due(self, now: float) -> bool:
        """Whether subscribers expect a heartbeat."""
        return self._opened.teller is not None and now - self._beaten >= self._opened.heartbeat

    def tell(
        self,
        event: Literal["heartbeat", "state"],
        state: str,
        message: str | None,
        count: CameraCount,
    ) -> None:
        """Tell subscribers, where there are such, what the camera does."""
        if self._opened.teller is None:
            return
        if event == "heartbeat":
            self._beaten = self._clock()
        dropped = Counter(count.dropped) + Counter(count.outlets[self.outlet].dropped)
        self._opened.teller.tell(event, state, message, count.decoded, dropped)

    def _serve(self) -> None:
        try:
            while True:
                frame = self._exchange.take(self._key, self.outlet)
                if frame is not None:
                    self._write(frame)
        except Cancelled:
            pass
        finally:
            self._close()

    def _write(self, frame: Frame) -> None:
        written, reason = False, WRITER_ERROR
        try:
            self._opened.writer.write(frame)
            written = True
        except LeftOutError as error:
            reason = error.reason
        except Exception as error:
            if self._clock() - self._said_at > SAY_AGAIN_S:
                self._said_at = self._clock()
                expected = isinstance(error, OutputError)
                log.error("%s: %s", self._camera, error, exc_info=not expected)
        finally:
            self._exchange.settle(self._key, self.outlet, frame, written=written, reason=reason)

    def _close(self) -> None:
        try:
            self._opened.close()
        except OutputError as error:
            log.error("%s: %s", self._camera, error)
