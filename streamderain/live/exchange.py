"""The switchboard, shared by threads: every decision is made in it, here is only the waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from streamderain.channel import Cancelled
from streamderain.frame import Frame, Pixels
from streamderain.inference.prior import Prior
from streamderain.live.lane import LaneSettings, Ticket
from streamderain.live.outlet import Outlet
from streamderain.live.switchboard import CameraCount, Switchboard

__all__ = ["Exchange"]


class Exchange:
    """Where readers, the network and writers meet.

    One lock guards the switchboard; no work is done while it is held. :meth:`close` lets nothing
    more in and lets what is under way out; :meth:`cancel` ends everything at once.

    Args:
        board: the decisions.
        clock: monotonic seconds.
    """

    def __init__(self, board: Switchboard, clock: Callable[[], float] = time.monotonic) -> None:
        self._board, self._clock = board, clock
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        """For the network: a frame came."""
        self._due = threading.Condition(lock)
        """For the timekeeper: the first deadline may have changed."""
        self._left: dict[str, threading.Condition] = {}
        """By camera, for its writers, its reader and :meth:`drain`: frames left or were written."""
        self._lock = lock
        self._closed = self._cancelled = False

    def add(self, camera: str, settings: LaneSettings, outlets: Mapping[str, Outlet]) -> None:
        """Add a camera; see :meth:`Switchboard.add`."""
        with self._lock:
            self._board.add(camera, settings, outlets)
            self._left[camera] = threading.Condition(self._lock)

    def offer(self, camera: str, frame: Frame, prior: Prior | None = None) -> None:
        """Take a decoded frame; waits only where the camera's policy is ``block``.

        Raises:
            Cancelled: nothing is taken any more.
        """
        with self._lock:
            self._left[camera].wait_for(lambda: self._closed or self._board.has_room(camera))
            if self._closed:
                raise Cancelled
            self._board.offer(camera, frame, self._clock(), prior)
            self._work.notify()
            self._due.notify()
            self._tell_moved()

    def skip(self, camera: str, reason: str) -> None:
        """Count a decoded frame that is left out at once."""
        with self._lock:
            self._board.skip(camera, reason)

    def work(self) -> list[Ticket]:
        """Wait for the next batch.

        Raises:
            Cancelled: there will be none any more.
        """
        with self._lock:
            while True:
                now = self._clock()
                work = self._board.work(now)
                self._tell_moved()
                if self._cancelled or (self._closed and not self._board.has_frames):
                    raise Cancelled
                if work.tickets:
                    return work.tickets
                self._work.wait(None if work.wake is None else max(0.0, work.wake - now))

    def finish(
        self, tickets: Sequence[Ticket], derained: Sequence[Pixels] | None, model: str
    ) -> None:
        """Take the network's results; see :meth:`Switchboard.finish`."""
        with self._lock:
            self._board.finish(tickets, derained, model, self._clock())
            self._tell_moved()

    def keep_time(self) -> None:
        """Let frames go at their deadlines, until :meth:`cancel`."""
        with self._lock:
            while not self._cancelled:
                self._board.sweep(self._clock())
                self._tell_moved()
                deadline = self._board.next_deadline()
                wait = None if deadline is None else max(0.0, deadline - self._clock())
                self._due.wait(wait)

    def take(self, camera: str, outlet: str, timeout: float | None = None) -> Frame | None:
        """Wait for a writer's next frame; None after ``timeout`` seconds without one.

        Raises:
            Cancelled: there will be none any more.
        """
        until = None if timeout is None else self._clock() + timeout
        with self._lock:
            while True:
                if self._cancelled:
                    raise Cancelled
                frame = self._board.take(camera, outlet)
                if frame is not None:
                    return frame
                if self._closed and self._board.is_idle(camera):
                    raise Cancelled
                left = None if until is None else until - self._clock()
                if left is not None and left <= 0:
                    return None
                self._left[camera].wait(left)

    def settle(self, outlet: str, frame: Frame, *, written: bool) -> None:
        """Note whether a writer wrote its frame."""
        with self._lock:
            self._board.settle(outlet, frame, written=written)
            self._left[frame.camera].notify_all()

    def count(self, camera: str) -> CameraCount:
        """Count where the camera's frames are, all at one moment."""
        with self._lock:
            return self._board.count(camera)

    def close(self) -> None:
        """Let no more frames in."""
        with self._lock:
            self._closed = True
            self._tell_all()

    def drain(self, camera: str, timeout: float) -> bool:
        """Wait until all that is under way has been written; False where it takes too long."""
        with self._lock:
            return self._left[camera].wait_for(lambda: self._board.is_idle(camera), timeout)

    def cancel(self) -> None:
        """End everything; what is under way is lost."""
        with self._lock:
            self._closed = self._cancelled = True
            self._tell_all()

    def _tell_moved(self) -> None:
        for camera in self._board.moved():
            self._left[camera].notify_all()

    def _tell_all(self) -> None:
        for condition in (self._work, self._due, *self._left.values()):
            condition.notify_all()
