"""The switchboard, shared by threads: every decision is made in it, here is only the waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from streamderain.channel import Cancelled
from streamderain.frame import Frame, Picture
from streamderain.inference.past import Recall
from streamderain.inference.sharing import CameraBatcher
from streamderain.live.counts import CameraCount
from streamderain.live.lane import LaneSettings, Ticket
from streamderain.live.measuring import Sample
from streamderain.live.outlet import WRITER_ERROR, Outlet
from streamderain.live.reports import Pair
from streamderain.live.switchboard import FAILED, Ahead, Figures, Switchboard

__all__ = ["Exchange"]

AWAKE, FOR_EVER = float("-inf"), float("inf")


class Exchange:
    """Where readers, the network and writers meet.

    One lock guards the switchboard; no work is done while it is held. :meth:`close` lets nothing
    more in and lets what is under way out; :meth:`cancel` ends everything at once. Cameras come and
    go meanwhile: :meth:`retire` and :meth:`remove` do the same to one of them alone. Whoever waits
    for a camera that goes gets :class:`~streamderain.channel.Cancelled`.

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
        self._seen: dict[str, threading.Condition] = {}
        """By camera, for its viewers: a frame left."""
        self._lock = lock
        self._closed = self._cancelled = False
        self._sleeps_until = AWAKE
        """For when the timekeeper has set its alarm."""

    def use(self, batcher: CameraBatcher) -> None:
        """Let another one choose what goes through the network together from now on."""
        with self._lock:
            self._board.use(batcher)
            self._work.notify()

    def add(self, camera: str, settings: LaneSettings, outlets: Mapping[str, Outlet]) -> None:
        """Add a camera; see :meth:`Switchboard.add`."""
        with self._lock:
            self._board.add(camera, settings, outlets)
            self._left[camera] = threading.Condition(self._lock)
            self._seen[camera] = threading.Condition(self._lock)

    def retire(self, camera: str) -> None:
        """Let no more frames of a camera in; harmless where it is gone."""
        with self._lock:
            if camera in self._board:
                self._board.retire(camera)
                self._left[camera].notify_all()

    def remove(self, camera: str) -> Figures:
        """Forget a camera; what is under way is dropped. See :meth:`Switchboard.remove`."""
        with self._lock:
            figures = self._board.remove(camera)
            for conditions in (self._left, self._seen):
                conditions.pop(camera).notify_all()
            self._work.notify()  # for what was waiting, or for the end of all
            return figures

    def offer(self, camera: str, frame: Frame, prior: Recall | None = None) -> None:
        """Take a decoded frame; waits only where the camera's policy is ``block``.

        Raises:
            Cancelled: nothing is taken any more.
        """
        with self._lock:
            self._check_open(camera)
            self._left[camera].wait_for(
                lambda: not self._is_open(camera) or self._board.has_room(camera)
            )
            self._check_open(camera)
            self._board.offer(camera, frame, self._clock(), prior)
            if frame.bypass is None:
                self._work.notify()
            deadline = self._board.deadline(camera)
            if deadline is not None and deadline < self._sleeps_until:
                self._due.notify()
            self._tell_moved()

    def skip(self, camera: str, reason: str) -> None:
        """Count a decoded frame that is left out at once.

        Raises:
            Cancelled: nothing is taken any more.
        """
        with self._lock:
            self._check_open(camera)
            self._board.skip(camera, reason)

    def work(self, ahead: Ahead | None = None) -> list[Ticket]:
        """Wait for the next batch.

        Args:
            ahead: what runs already; then nothing is waited for, and no frames are returned where
                none are worth beginning with.

        Raises:
            Cancelled: there will be none any more.
        """
        with self._lock:
            while True:
                now = self._clock()
                work = self._board.work(now, ahead)
                self._tell_moved()
                if self._cancelled or (self._closed and not self._board.has_frames):
                    raise Cancelled
                if work.tickets or ahead is not None:
                    return work.tickets
                self._work.wait(None if work.wake is None else max(0.0, work.wake - now))

    def finish(
        self, tickets: Sequence[Ticket], derained: Sequence[Picture] | None, model: str,
        bypass: str = FAILED,
    ) -> None:  # fmt: skip
        """Take the network's results; see :meth:`Switchboard.finish`."""
        with self._lock:
            self._board.finish(tickets, derained, model, self._clock(), bypass)
            self._tell_moved()

    def keep_time(self) -> None:
        """Let frames go at their deadlines, until :meth:`cancel`."""
        with self._lock:
            while not self._cancelled:
                self._board.sweep(self._clock())
                self._tell_moved()
                deadline = self._board.next_deadline()
                self._sleeps_until = FOR_EVER if deadline is None else deadline
                self._due.wait(None if deadline is None else max(0.0, deadline - self._clock()))
                self._sleeps_until = AWAKE

    def take(self, camera: str, outlet: str, timeout: float | None = None) -> Frame | None:
        """Wait for a writer's next frame; None after ``timeout`` seconds without one.

        Raises:
            Cancelled: there will be none any more.
        """
        until = None if timeout is None else self._clock() + timeout
        with self._lock:
            while True:
                if self._cancelled or camera not in self._board:
                    raise Cancelled
                frame = self._board.take(camera, outlet)
                if frame is not None:
                    return frame
                if not self._is_open(camera) and self._board.is_idle(camera):
                    raise Cancelled
                left = None if until is None else until - self._clock()
                if left is not None and left <= 0:
                    return None
                self._left[camera].wait(left)

    def settle(
        self, camera: str, outlet: str, frame: Frame, *, written: bool, reason: str = WRITER_ERROR
    ) -> None:
        """Note whether a writer wrote its frame, or why not; see :meth:`Switchboard.settle`."""
        with self._lock:
            self._board.settle(camera, outlet, frame, self._clock(), written=written, reason=reason)
            if camera in self._left:
                self._left[camera].notify_all()

    def count(self, camera: str) -> CameraCount:
        """Count where the camera's frames are, all at one moment."""
        with self._lock:
            return self._board.count(camera)

    def figures(self, camera: str) -> Figures | None:
        """Return all that is measured of a camera at one moment; None where it is gone."""
        with self._lock:
            return self._board.figures(camera) if camera in self._board else None

    def sample(self, camera: str) -> Sample | None:
        """Return what a camera's history is made of; None where it is gone."""
        with self._lock:
            return self._board.sample(camera) if camera in self._board else None

    def wait_newest(self, camera: str, newer_than: int, timeout: float) -> Pair | None:
        """Wait for a frame that leaves and is newer than a version; None after ``timeout`` seconds.

        Raises:
            Cancelled: the camera is gone, or everything has ended.
        """
        until = self._clock() + timeout
        with self._lock:
            while True:
                if camera not in self._board:
                    raise Cancelled
                newest = self._board.newest(camera)
                if newest is not None and newest.version > newer_than:
                    return newest
                left = until - self._clock()
                if left <= 0:
                    return None
                if self._cancelled:
                    raise Cancelled
                self._seen[camera].wait(left)

    def close(self) -> None:
        """Let no more frames in."""
        with self._lock:
            self._closed = True
            self._tell_all()

    def drain(self, camera: str, timeout: float) -> bool:
        """Wait until all that is under way has been written; False where it takes too long."""
        with self._lock:
            if camera not in self._board:
                return True
            return self._left[camera].wait_for(
                lambda: camera not in self._board or self._board.is_idle(camera), timeout
            )

    def cancel(self) -> None:
        """End everything; what is under way is lost."""
        with self._lock:
            self._closed = self._cancelled = True
            self._tell_all()

    def _is_open(self, camera: str) -> bool:
        return not self._closed and self._board.is_open(camera)

    def _check_open(self, camera: str) -> None:
        if not self._is_open(camera):
            raise Cancelled

    def _tell_moved(self) -> None:
        for camera in self._board.moved():
            self._left[camera].notify_all()
            self._seen[camera].notify_all()

    def _tell_all(self) -> None:
        for condition in (self._work, self._due, *self._left.values(), *self._seen.values()):
            condition.notify_all()
