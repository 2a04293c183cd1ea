"""What is known of a worker, and when it has to be told to start or be replaced: pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Act", "Phase", "Watch", "WatchSettings"]


class Act(Enum):
    """What is to be done."""

    NOTHING = "nothing"
    START = "start"
    """Tell the worker which cameras to run."""
    REPLACE = "replace"
    """Make sure that it ends, and ask for another one."""


class Phase(Enum):
    """What a worker does, as far as one knows."""

    WAITING = "waiting"
    """It was asked for; nothing has answered yet."""
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    """It is there, but can't run its cameras; it is told to try again."""


@dataclass(frozen=True)
class WatchSettings:
    """Times, in seconds.

    Attributes:
        silence: without an answer, before a worker is replaced.
        placing: before one is asked for anew that never answered: it may be on a node that is gone.
        starting: without an answer while a network is opened, which may keep a process busy.
        avoiding: how long a replacement waits for another node before the old one will do again.
        again, again_most: before a start that failed is tried again, or another worker asked for
            in place of one that ended for good; doubled at each further one.
    """

    silence: float = 5.0
    placing: float = 60.0
    starting: float = 30.0
    avoiding: float = 15.0
    again: float = 5.0
    again_most: float = 60.0


class Watch:
    """Follows one worker, and all that come in its place.

    Each has an id of its own: Ray starts one anew that died by itself, and the new one runs nothing
    until it is told to.

    Args:
        settings: times.
        now: monotonic seconds.

    Attributes:
        phase: what it does.
        avoid: the node that the worker to come must not be on, or None.
    """

    def __init__(self, settings: WatchSettings, now: float) -> None:
        self._settings = settings
        self.avoid: str | None = None
        self.phase = Phase.WAITING
        self._failures = 0
        self._asked_at, self._again_at = now, 0.0
        self._answered_at: float | None = None
        self._worker: str | None = None
        self._node: str | None = None
        self._told = self._lost = False

    def answered(self, worker: str, node: str, phase: Phase | None, now: float) -> None:
        """Note an answer.

        Args:
            worker: id of the one that answered.
            node: id of the node that it is on.
            phase: what it does; None while it was told nothing.
            now: monotonic seconds.
        """
        self._answered_at, self._node, self.avoid = now, node, None
        if worker != self._worker or phase is None:
            self._worker, self._told = worker, False
        if phase is Phase.FAILED and self.phase is not Phase.FAILED:
            self._failed(now)
        elif phase is Phase.RUNNING:
            self._failures = 0
        self.phase = phase or Phase.STARTING

    def ended(self, now: float) -> bool:
        """Note that the worker has ended for certain, and another process is on its way to us.

        That is no silence: to ask for yet another worker, on another node at that, would take
        longer than to wait.

        Returns:
            Whether that is news.
        """
        if self._answered_at is None:
            return False
        self._begin(now)
        return True

    def lost(self, now: float) -> None:
        """Note that nothing comes of this worker any more; harmless twice.

        Another one is asked for a little later: whatever ended it may end that one, too.
        """
        if not self._lost:
            self._lost = True
            self._failed(now)

    def act(self, now: float) -> Act:
        """Say what is to be done now; what it says is taken to be done."""
        if self._lost:
            if now < self._again_at:
                return Act.NOTHING
            self._begin(now)
            return Act.REPLACE
        if self._answered_at is None:
            return self._wait(now)
        limit = self._settings.silence
        if self.phase is Phase.STARTING and self._told:
            limit = max(limit, self._settings.starting)
        if now - self._answered_at >= limit:
            avoid = self._node
            self._begin(now)
            self.avoid = avoid
            return Act.REPLACE
        if not self._told or (self.phase is Phase.FAILED and now >= self._again_at):
            self._told, self.phase = True, Phase.STARTING
            return Act.START
        return Act.NOTHING

    def waits(self, now: float) -> float:
        """Return for how many seconds nothing has answered; 0 where one does."""
        return now - self._asked_at if self._answered_at is None else 0.0

    def _wait(self, now: float) -> Act:
        waited = now - self._asked_at
        if self.avoid is not None and waited >= self._settings.avoiding:
            self._begin(now)
            self.avoid = None
            return Act.REPLACE
        if waited >= self._settings.placing:
            self._begin(now)
            return Act.REPLACE
        return Act.NOTHING

    def _failed(self, now: float) -> None:
        wait = min(self._settings.again_most, self._settings.again * 2**self._failures)
        self._failures += 1
        self._again_at = now + wait

    def _begin(self, now: float) -> None:
        self.phase, self._asked_at = Phase.WAITING, now
        self._told = self._lost = False
        self._answered_at = self._worker = self._node = None
