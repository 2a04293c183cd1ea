"""One camera's frames between decoding and publishing: pure, with the time handed in.

Frames leave in the order in which they came. What can't be derained in time leaves as it came,
marked ``bypass="overload"``: a detector that sees rain is better off than one that sees nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from streamderain.frame import Frame, Picture
from streamderain.inference.past import Recall

__all__ = ["POLICIES", "Lane", "LaneSettings", "Ticket"]

POLICIES = ("latest", "drop-oldest", "block")

MAX_HELD = 64
"""Frames of one camera that may be under way; beyond it the oldest leaves early."""


@dataclass(frozen=True)
class LaneSettings:
    """What happens to the frames of a camera when the network is busy.

    Attributes:
        policy: what waits for the network: ``latest``, only the newest frame; ``drop-oldest``, up
            to ``capacity`` frames, of which the oldest gives way; ``block``, up to ``capacity``
            are under way and the reader waits, which suits recordings alone.
        capacity: frames that may wait.
        staleness_s: how long after its arrival a frame leaves at the latest, derained or not;
            None for no limit, with ``block`` only.
        overload: ``pass`` lets a frame that gives way leave as it came, ``drop`` drops it.
    """

    policy: Literal["latest", "drop-oldest", "block"] = "latest"
    capacity: int = 4
    staleness_s: float | None = 0.5
    overload: Literal["pass", "drop"] = "pass"

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"the policy is {', '.join(POLICIES)}, not {self.policy!r}")
        if not 1 <= self.capacity <= MAX_HELD:
            raise ValueError(f"the capacity is 1 to {MAX_HELD} frames")
        if self.staleness_s is None and self.policy != "block":
            raise ValueError(f"the policy {self.policy} needs a staleness budget")
        if self.staleness_s is not None and self.staleness_s <= 0:
            raise ValueError("the staleness budget must be above 0 s")


class Stage(Enum):
    """Where a frame is on its way."""

    WAITING = "waiting for the network"
    RUNNING = "in the network"
    LEAVING = "decided, as it is"
    DROPPED = "decided, dropped"


@dataclass(slots=True, eq=False)
class Ticket:
    """A frame on its way.

    Attributes:
        frame: as decoded, until the network's result takes its place.
        arrived: seconds, on the clock of whoever offers.
        deadline: when it leaves at the latest, or None.
        stage: see :class:`Stage`.
        prior: what the camera's past says of the frame, for a video network; it may be made later.
        lane: whose ticket it is, by the name that its lane was given.
        started: when the network began with it, or None.
        before: the frame's picture before the network's took its place, or None.
    """

    frame: Frame
    arrived: float
    deadline: float | None
    stage: Stage = Stage.WAITING
    prior: Recall | None = None
    lane: str = ""
    started: float | None = None
    before: Picture | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame."""
        return self.frame.size


class Lane:
    """The frames of one camera, in order.

    Usage::

        lane.offer(frame, now)
        tickets = lane.waiting()
        lane.start(tickets)            # into the network
        lane.finish(ticket, pixels)    # out of it
        for frame in lane.leave(now): ...

    Args:
        settings: of the camera.
        name: noted on each ticket.

    Attributes:
        offered: frames that came in.
        dropped: frames that were dropped here, by reason.
    """

    def __init__(self, settings: LaneSettings, name: str = "") -> None:
        self.settings, self._name = settings, name
        self.offered = 0
        self.dropped: Counter[str] = Counter()
        self._tickets: deque[Ticket] = deque()
        self._carried: Counter[str] = Counter()

    def __len__(self) -> int:
        """Frames under way."""
        return len(self._tickets)

    @property
    def has_room(self) -> bool:
        """Whether a frame may be offered; only ``block`` makes a reader wait."""
        return self.settings.policy != "block" or len(self) < self.settings.capacity

    def offer(self, frame: Frame, now: float, prior: Recall | None = None) -> None:
        """Take a frame; one that has a ``bypass`` already doesn't go into the network.

        Raises:
            ValueError: there is no room.
        """
        if not self.has_room:
            raise ValueError("the lane is full; its reader has to wait")
        self.offered += 1
        budget = self.settings.staleness_s
        deadline = None if budget is None else now + budget
        ticket = Ticket(frame, now, deadline, prior=prior, lane=self._name)
        if frame.bypass is not None:
            ticket.stage = Stage.LEAVING
        else:
            self._make_way()
        self._tickets.append(ticket)

    def waiting(self) -> list[Ticket]:
        """Return those that wait for the network, the oldest first."""
        return [ticket for ticket in self._tickets if ticket.stage is Stage.WAITING]

    def start(self, ticket: Ticket) -> None:
        """Note that the network has a frame now."""
        ticket.stage = Stage.RUNNING

    def finish(self, ticket: Ticket) -> bool:
        """Note that the network is done with a frame; False where it has left without it."""
        if ticket.stage is not Stage.RUNNING:
            return False
        ticket.stage = Stage.LEAVING
        return True

    def give_up(self, ticket: Ticket) -> None:
        """Let a frame go without the network: there isn't enough time for it."""
        if ticket.prior is not None:
            ticket.prior.forgo()
        if self.settings.overload == "drop":
            ticket.stage = Stage.DROPPED
        else:
            ticket.frame.bypass = "overload"
            ticket.stage = Stage.LEAVING

    def leave(self, now: float) -> Iterator[Frame]:
        """Give the frames that may leave now, in order; see :meth:`depart`."""
        for ticket in self.depart(now):
            yield ticket.frame

    def depart(self, now: float) -> Iterator[Ticket]:
        """Give the tickets of the frames that may leave now, in order.

        Each frame carries in ``dropped`` what was left out since the one before.
        """
        while self._tickets and self._is_due(self._tickets[0], now):
            ticket = self._tickets.popleft()
            if ticket.stage in (Stage.WAITING, Stage.RUNNING):
                self.give_up(ticket)
            if ticket.stage is Stage.DROPPED:
                self.dropped["overload"] += 1
                self._carried.update(ticket.frame.dropped)
                self._carried["overload"] += 1
                continue
            if self._carried:
                self._carried.update(ticket.frame.dropped)
                ticket.frame.dropped = dict(self._carried)
                self._carried.clear()
            yield ticket

    def abandon(self, reason: str) -> None:
        """Drop all that is here; what comes out of the network for it isn't wanted any more."""
        for ticket in self._tickets:
            ticket.stage = Stage.DROPPED
            self.dropped[reason] += 1
        self._tickets.clear()

    def next_deadline(self) -> float | None:
        """Return when the first frame has to leave at the latest."""
        return self._tickets[0].deadline if self._tickets else None

    def _is_due(self, ticket: Ticket, now: float) -> bool:
        return (
            ticket.stage in (Stage.LEAVING, Stage.DROPPED)
            or (ticket.deadline is not None and now >= ticket.deadline)
            or len(self._tickets) > MAX_HELD
        )

    def _make_way(self) -> None:
        """Let go what the policy doesn't allow to wait beside one more."""
        if self.settings.policy == "block":
            return
        allowed = 1 if self.settings.policy == "latest" else self.settings.capacity
        waiting = self.waiting()
        for ticket in waiting[: max(0, len(waiting) + 1 - allowed)]:
            self.give_up(ticket)
