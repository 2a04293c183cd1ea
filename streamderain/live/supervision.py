"""When to connect a camera, when to give up on a connection, what to call its state: pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Action", "Backoff", "CameraState", "Fault", "Supervision"]

REFUSED_S = 60.0
"""Between two tries with a refused password: some cameras lock an account after a few."""

GRACE_S = 3.0
"""How long a reader may take to notice its own time limit before it is taken for stuck."""

STEADY_S = 20.0
"""A camera that lasted so long starts its backoff from the beginning."""


class CameraState(StrEnum):
    """What a camera does.

    ``connecting``: a connection is being made. ``live``: frames come. ``stalled``: connected, but
    nothing comes. ``backoff``: waits for the next try. ``failed``: waits too, but it will probably
    take a person: refused password, no such stream, a defect. ``ended``: a file is over.
    ``paused``: somebody wants no connection for now.
    """

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    BACKOFF = "backoff"
    FAILED = "failed"
    ENDED = "ended"
    PAUSED = "paused"


LOST = (CameraState.STALLED, CameraState.BACKOFF, CameraState.FAILED)
"""States between which a camera goes while it is down."""


class Fault(StrEnum):
    """Why a connection ended."""

    LOST = "lost"
    """Connection refused, cut, no route, no data: it will probably come back by itself."""
    REFUSED = "refused"
    """User and password are refused."""
    WRONG = "wrong"
    """No such stream, or not one that can be decoded."""
    DEFECT = "defect"
    """Our own mistake."""


class Action(StrEnum):
    """What the threads have to do now."""

    CONNECT = "connect"
    ABANDON = "abandon"


class Backoff:
    """Waits between tries: doubled each time up to a limit, each shortened at random.

    "Equal jitter": between half and the whole of it, so that cameras that went down together
    don't come back together.

    Args:
        first, most: seconds.
        rng: gives numbers from 0 to 1.
    """

    def __init__(self, first: float, most: float, rng: Callable[[], float] = random.random) -> None:
        self._first, self._most, self._rng = first, most, rng
        self._tries = 0

    def next(self) -> float:
        """Return the seconds until the next try."""
        whole = min(self._most, self._first * 2.0 ** min(self._tries, 60))
        self._tries += 1
        return whole * (0.5 + 0.5 * self._rng())

    def reset(self) -> None:
        """Start from the beginning."""
        self._tries = 0


@dataclass(frozen=True)
class Change:
    """A change of state, worth a line in the log.

    Attributes:
        state: the new one.
        message: why, or None.
    """

    state: CameraState
    message: str | None = None


class Supervision:
    """One camera's connections.

    The thread that reads says what it does (:meth:`connected`, :meth:`reading`, :meth:`got`,
    :meth:`ended`, :meth:`lost`); a watchdog asks :meth:`due` and does what it says. Time spent in
    handing frames on doesn't count: a reader that waits for a slow consumer is not stalled.

    Args:
        backoff: between tries.
        timeout_s: for connecting.
        stall_s: without a frame.

    Attributes:
        state: now.
        message: why, where something is wrong.
        since: when the state began; of a camera that is tried again, when it was lost.
        connects: connections that gave a frame; one that stalls and goes on is the same.
    """

    def __init__(self, backoff: Backoff, timeout_s: float, stall_s: float) -> None:
        self._backoff, self._timeout, self._stall = backoff, timeout_s, stall_s
        self.state = CameraState.CONNECTING
        self.message: str | None = None
        self.since = 0.0
        self.connects = 0
        self._attempt = self._looping = False
        self._retry_at = 0.0
        self._waiting_since: float | None = None
        self._changes: list[Change] = []
        self._said: tuple[CameraState, str | None] | None = None

    def due(self, now: float) -> Action | None:
        """Return what is to be done now, if anything."""
        if self.state in (CameraState.ENDED, CameraState.PAUSED):
            return None
        if not self._attempt:
            return Action.CONNECT if now >= self._retry_at else None
        if self._waiting_since is None:
            return None
        waited = now - self._waiting_since
        live = self.state in (CameraState.LIVE, CameraState.STALLED)
        if live and waited >= self._stall:
            self._become(CameraState.STALLED, f"no frame for {self._stall:g} s", now)
        limit = self._stall if live else self._timeout
        return Action.ABANDON if waited >= limit + GRACE_S else None

    def started(self, now: float) -> None:
        """Note that a thread begins to connect."""
        self._attempt, self._waiting_since = True, now
        if not self._looping:
            self._become(CameraState.CONNECTING, self.message, now)
        self._looping = False

    def reading(self, now: float) -> None:
        """Note that the thread waits for the camera from now on."""
        self._waiting_since = now

    def got(self, now: float) -> None:
        """Note that a frame came; the thread is busy with it until it is reading again."""
        self._waiting_since = None
        if self.state is not CameraState.LIVE:
            self.connects += self.state is not CameraState.STALLED
            self._become(CameraState.LIVE, None, now)
        elif now - self.since > STEADY_S:
            self._backoff.reset()

    def lost(self, fault: Fault, message: str, now: float) -> None:
        """Note that the connection is no more, or was never made."""
        self._attempt, self._waiting_since = False, None
        wait = self._backoff.next()
        if fault is not Fault.LOST:
            wait = max(wait, REFUSED_S)
        self._retry_at = now + wait
        state = CameraState.BACKOFF if fault is Fault.LOST else CameraState.FAILED
        self._become(state, message, now)

    def again(self, now: float) -> None:
        """Note that the source ended and begins anew at once: a file that loops stays live."""
        self._looping = self.state is CameraState.LIVE
        self._attempt, self._waiting_since, self._retry_at = False, None, now

    def ended(self, now: float) -> None:
        """Note that the source is over."""
        self._attempt, self._waiting_since = False, None
        self._become(CameraState.ENDED, None, now)

    def pause(self, now: float) -> None:
        """Note that there is to be no connection until :meth:`resume`."""
        self._attempt = self._looping = False
        self._waiting_since = None
        self._become(CameraState.PAUSED, None, now)

    def resume(self, now: float) -> None:
        """Note that the pause is over: a connection is due at once."""
        if self.state is CameraState.PAUSED:
            self._backoff.reset()
            self._retry_at = now
            self._become(CameraState.CONNECTING, None, now)

    def changes(self) -> list[Change]:
        """Return the changes since the last call; a repeated failure is none."""
        changes, self._changes = self._changes, []
        return changes

    @property
    def _is_lost(self) -> bool:
        """Whether it was lost, and hasn't come back in any try since."""
        retried = self.state is CameraState.CONNECTING and self.message is not None
        return retried or self.state in LOST

    def _become(self, state: CameraState, message: str | None, now: float) -> None:
        before, was_lost = self.state, self._is_lost
        self.state, self.message = state, message
        if state is not before and not (was_lost and self._is_lost):
            self.since = now
        # While it tries and fails in the same way, it was said once.
        if state is not CameraState.CONNECTING and (state, message) != self._said:
            self._said = (state, message)
            self._changes.append(Change(state, message))
