"""Where every camera's frames are, from decoder to writers: pure, with the time handed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamderain.frame import Frame, Pixels
from streamderain.inference.prior import Prior
from streamderain.inference.sharing import CameraBatcher
from streamderain.live.lane import Lane, LaneSettings, Ticket
from streamderain.live.outlet import Outlet

__all__ = ["CameraCount", "OutletCount", "Switchboard", "Work"]


@dataclass(frozen=True)
class OutletCount:
    """What became of the frames that one writer was given.

    Attributes:
        written: frames that it took.
        waiting: frames that wait for it, or that it is busy with.
        dropped: frames left out in front of it, by reason.
    """

    written: int
    waiting: int
    dropped: dict[str, int]


@dataclass(frozen=True)
class CameraCount:
    """Where a camera's frames are, counted at one moment.

    Attributes:
        decoded: frames that the camera gave.
        waiting: frames on their way through the network.
        derained: frames that the network cleaned.
        bypassed: frames that left as they came, by reason.
        dropped: frames left out before the writers, by reason.
        outlets: by the writer's name.
    """

    decoded: int
    waiting: int
    derained: int
    bypassed: dict[str, int]
    dropped: dict[str, int]
    outlets: dict[str, OutletCount] = field(default_factory=dict)

    def missing(self) -> dict[str, int]:
        """Return how many frames are unaccounted for, by writer: 0 everywhere, at every moment."""
        before = sum(self.dropped.values()) + self.waiting
        return {
            name: self.decoded
            - before
            - (outlet.written + outlet.waiting + sum(outlet.dropped.values()))
            for name, outlet in self.outlets.items()
        }


@dataclass(frozen=True)
class Work:
    """A batch for the network.

    Attributes:
        tickets: frames of one size, of any cameras.
        wake: where there are none, when to ask again at the latest; None for when something comes.
    """

    tickets: list[Ticket]
    wake: float | None = None


class _Camera:
    def __init__(self, settings: LaneSettings, outlets: Mapping[str, Outlet]) -> None:
        self.lane = Lane(settings)
        self.outlets = dict(outlets)
        self.skipped: Counter[str] = Counter()
        self.pending: Counter[str] = Counter()
        self.bypassed: Counter[str] = Counter()
        self.decoded = self.derained = 0

    @property
    def has_room(self) -> bool:
        if self.lane.settings.policy != "block":
            return True
        behind = max((len(outlet) for outlet in self.outlets.values()), default=0)
        return len(self.lane) + behind < self.lane.settings.capacity


class Switchboard:
    """Holds the frames of all cameras and decides where each goes next.

    Frames are conserved: each that a camera decoded is written, dropped by a named reason, or on
    its way, for every writer and at every moment; see :meth:`count`.

    Args:
        batcher: chooses what goes through the network together.
    """

    def __init__(self, batcher: CameraBatcher) -> None:
        self._batcher = batcher
        self._cameras: dict[str, _Camera] = {}
        self._moved: set[str] = set()

    def add(self, camera: str, settings: LaneSettings, outlets: Mapping[str, Outlet]) -> None:
        """Add a camera with its writers' queues.

        Raises:
            ValueError: it is there already, or its writers can't hold what may be under way.
        """
        if camera in self._cameras:
            raise ValueError(f"the camera {camera} is there already")
        self._cameras[camera] = _Camera(settings, outlets)

    def has_room(self, camera: str) -> bool:
        """Whether the camera's reader may offer a frame now."""
        return self._cameras[camera].has_room

    def skip(self, camera: str, reason: str) -> None:
        """Count a decoded frame that is left out before anything is done with it."""
        here = self._cameras[camera]
        here.decoded += 1
        here.skipped[reason] += 1
        here.pending[reason] += 1

    def offer(self, camera: str, frame: Frame, now: float, prior: Prior | None = None) -> None:
        """Take a decoded frame, and what the camera's past says of it."""
        here = self._cameras[camera]
        here.decoded += 1
        frame.decoded = here.decoded
        frame.dropped = dict(here.pending)
        here.pending.clear()
        here.lane.offer(frame, now, prior)
        self._leave(camera, now)

    def work(self, now: float) -> Work:
        """Return the next batch for the network, and let go what it has no time for."""
        self.sweep(now)
        queues = {name: here.lane.waiting() for name, here in self._cameras.items()}
        choice = self._batcher.choose(queues, now)
        for ticket in choice.hopeless:
            self._cameras[ticket.frame.camera].lane.give_up(ticket)
        for ticket in choice.batch:
            self._cameras[ticket.frame.camera].lane.start(ticket)
        if choice.hopeless:
            self.sweep(now)
        return Work(choice.batch, choice.wake)

    def finish(
        self, tickets: Sequence[Ticket], derained: Sequence[Pixels] | None, model: str, now: float
    ) -> None:
        """Take the network's results, or None where it failed: the frames leave as they came."""
        for index, ticket in enumerate(tickets):
            here = self._cameras[ticket.frame.camera]
            if not here.lane.finish(ticket):
                continue  # it couldn't wait
            if derained is None:
                ticket.frame.bypass = "failed"
            else:
                ticket.frame.pixels = derained[index]
                ticket.frame.derained, ticket.frame.model = True, model
        for camera in {ticket.frame.camera for ticket in tickets}:
            self._leave(camera, now)

    def sweep(self, now: float) -> None:
        """Let go of frames whose time has come."""
        for camera in self._cameras:
            self._leave(camera, now)

    def next_deadline(self) -> float | None:
        """Return when :meth:`sweep` has something to do at the latest."""
        times = [here.lane.next_deadline() for here in self._cameras.values()]
        return min((time for time in times if time is not None), default=None)

    def take(self, camera: str, outlet: str) -> Frame | None:
        """Hand a writer its next frame; it says :meth:`settle` when it is done."""
        return self._cameras[camera].outlets[outlet].take()

    def settle(self, outlet: str, frame: Frame, *, written: bool) -> None:
        """Note whether a writer wrote its frame."""
        self._cameras[frame.camera].outlets[outlet].settle(frame, written=written)

    @property
    def has_frames(self) -> bool:
        """Whether any frame is on its way through the network."""
        return any(len(here.lane) for here in self._cameras.values())

    def is_idle(self, camera: str) -> bool:
        """Whether none of the camera's frames is under way."""
        here = self._cameras[camera]
        return not len(here.lane) and not any(len(outlet) for outlet in here.outlets.values())

    def count(self, camera: str) -> CameraCount:
        """Count where the camera's frames are."""
        here = self._cameras[camera]
        outlets = {
            name: OutletCount(outlet.written, len(outlet), dict(outlet.dropped))
            for name, outlet in here.outlets.items()
        }
        return CameraCount(
            here.decoded, len(here.lane), here.derained, dict(here.bypassed),
            dict(here.skipped + here.lane.dropped), outlets,
        )  # fmt: skip

    def moved(self) -> set[str]:
        """Return the cameras of which frames have left the network's lane since the last call."""
        moved, self._moved = self._moved, set()
        return moved

    def _leave(self, camera: str, now: float) -> None:
        here = self._cameras[camera]
        before = len(here.lane)
        for frame in here.lane.leave(now):
            if frame.derained:
                here.derained += 1
            else:
                here.bypassed[frame.bypass or "unknown"] += 1
            for outlet in here.outlets.values():
                outlet.offer(frame)
        if len(here.lane) != before:
            self._moved.add(camera)
