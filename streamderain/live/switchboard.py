"""Where every camera's frames are, from decoder to writers: pure, with the time handed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamderain.frame import Frame, Picture
from streamderain.inference.past import Recall
from streamderain.inference.sharing import CameraBatcher, Choice
from streamderain.live.counts import CameraCount, OutletCount
from streamderain.live.lane import Lane, LaneSettings, Ticket
from streamderain.live.measuring import Sample, Tally
from streamderain.live.outlet import WRITER_ERROR, Outlet, Way
from streamderain.live.reports import STAGES, Latency, Pair

__all__ = [
    "FAILED", "REMOVED", "Ahead", "CameraCount", "Figures", "OutletCount", "Switchboard", "Work",
]  # fmt: skip

FAILED = "failed"
"""Why frames leave as they came where the network failed."""

REMOVED = "removed"
"""Why frames are dropped that were still under way when their camera was removed."""


@dataclass(frozen=True)
class Figures:
    """All that is measured of a camera, at one moment.

    Attributes:
        count: where its frames are.
        queue: frames that wait for the network, or are in it.
        latency: by stage; see :class:`~streamderain.live.reports.CameraReport`.
        newest: the newest frame that left, or None.
    """

    count: CameraCount
    queue: int
    latency: dict[str, Latency]
    newest: Pair | None


@dataclass(frozen=True)
class Work:
    """A batch for the network.

    Attributes:
        tickets: frames of one size, of any cameras.
        wake: where there are none, when to ask again at the latest; None for when something comes.
    """

    tickets: list[Ticket]
    wake: float | None = None


@dataclass(frozen=True)
class Ahead:
    """A batch that runs, before which the next one may begin.

    Attributes:
        left_s: seconds that it will probably take still.
        lanes: frames that run side by side.
    """

    left_s: float
    lanes: int


class _Camera:
    def __init__(self, name: str, settings: LaneSettings, outlets: Mapping[str, Outlet]) -> None:
        self.lane = Lane(settings, name)
        self.outlets = dict(outlets)
        self.first = next(iter(self.outlets), None)
        self.skipped: Counter[str] = Counter()
        self.pending: Counter[str] = Counter()
        self.bypassed: Counter[str] = Counter()
        self.decoded = self.derained = self.left = self.scored = 0
        self.rain = 0.0
        self.tallies = {stage: Tally() for stage in STAGES}
        self.newest: Pair | None = None
        self.retired = False

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

    A name is given once: a camera that is changed comes back under another one, so that whatever
    still holds a frame of the old one can't touch the new one's. Frames that belong to a camera
    that is gone are ignored.

    Args:
        batcher: chooses what goes through the network together.
    """

    def __init__(self, batcher: CameraBatcher) -> None:
        self._batcher = batcher
        self._cameras: dict[str, _Camera] = {}
        self._moved: set[str] = set()
        self._version = 0

    def use(self, batcher: CameraBatcher) -> None:
        """Let another one choose from now on, as another network has other costs."""
        self._batcher = batcher

    def add(self, camera: str, settings: LaneSettings, outlets: Mapping[str, Outlet]) -> None:
        """Add a camera with its writers' queues.

        Raises:
            ValueError: it is there already, or its writers can't hold what may be under way.
        """
        if camera in self._cameras:
            raise ValueError(f"the camera {camera} is there already")
        self._cameras[camera] = _Camera(camera, settings, outlets)

    def retire(self, camera: str) -> None:
        """Let no more frames of a camera in; those under way go on."""
        self._cameras[camera].retired = True

    def remove(self, camera: str) -> Figures:
        """Forget a camera; what is under way is dropped as ``removed``.

        Returns:
            Its last figures: nothing is on its way in them.
        """
        here = self._cameras[camera]
        here.lane.abandon(REMOVED)
        for outlet in here.outlets.values():
            outlet.abandon(REMOVED)
        figures = self.figures(camera)
        del self._cameras[camera]
        self._batcher.forget(camera)
        self._moved.discard(camera)
        return figures

    def is_open(self, camera: str) -> bool:
        """Whether frames of the camera are taken."""
        here = self._cameras.get(camera)
        return here is not None and not here.retired

    def __contains__(self, camera: str) -> bool:
        return camera in self._cameras

    def has_room(self, camera: str) -> bool:
        """Whether the camera's reader may offer a frame now."""
        return self._cameras[camera].has_room

    def skip(self, camera: str, reason: str) -> None:
        """Count a decoded frame that is left out before anything is done with it."""
        here = self._cameras[camera]
        here.decoded += 1
        here.skipped[reason] += 1
        here.pending[reason] += 1

    def offer(self, camera: str, frame: Frame, now: float, prior: Recall | None = None) -> None:
        """Take a decoded frame, and what the camera's past says of it."""
        here = self._cameras[camera]
        here.decoded += 1
        frame.decoded = here.decoded
        frame.dropped = dict(here.pending)
        here.pending.clear()
        here.lane.offer(frame, now, prior)
        self._leave(camera, now)

    def work(self, now: float, ahead: Ahead | None = None) -> Work:
        """Return the next batch for the network, and let go what it has no time for.

        Args:
            now: seconds.
            ahead: what runs, where the batch is to begin before that is done; or None.
        """
        self.sweep(now)
        queues = {name: here.lane.waiting() for name, here in self._cameras.items()}
        if ahead is None:
            choice = self._batcher.choose(queues, now)
        else:
            choice = Choice(
                self._batcher.choose_ahead(queues, now, now + ahead.left_s, ahead.lanes)
            )
        for ticket in choice.hopeless:
            self._cameras[ticket.lane].lane.give_up(ticket)
        for ticket in choice.batch:
            here = self._cameras[ticket.lane]
            here.lane.start(ticket)
            ticket.started = now
            here.tallies["wait"].add(now - ticket.arrived)
        if choice.hopeless:
            self.sweep(now)
        return Work(choice.batch, choice.wake)

    def finish(
        self, tickets: Sequence[Ticket], derained: Sequence[Picture] | None, model: str, now: float,
        bypass: str = FAILED,
    ) -> None:  # fmt: skip
        """Take the network's results, or None: then the frames leave as they came, for a reason."""
        for index, ticket in enumerate(tickets):
            here = self._cameras.get(ticket.lane)
            if here is None or not here.lane.finish(ticket):
                continue  # it couldn't wait
            if ticket.started is not None:
                here.tallies["network"].add(now - ticket.started)
            if derained is None:
                ticket.frame.bypass = bypass
            else:
                ticket.before = ticket.frame.picture
                ticket.frame.picture = derained[index]
                ticket.frame.derained, ticket.frame.model = True, model
        for camera in {ticket.lane for ticket in tickets} & self._cameras.keys():
            self._leave(camera, now)

    def sweep(self, now: float) -> None:
        """Let go of frames whose time has come."""
        for camera in self._cameras:
            self._leave(camera, now)

    def deadline(self, camera: str) -> float | None:
        """Return when a camera's first frame leaves at the latest, or None."""
        return self._cameras[camera].lane.next_deadline()

    def next_deadline(self) -> float | None:
        """Return when :meth:`sweep` has something to do at the latest."""
        times = [here.lane.next_deadline() for here in self._cameras.values()]
        return min((time for time in times if time is not None), default=None)

    def take(self, camera: str, outlet: str) -> Frame | None:
        """Hand a writer its next frame; it says :meth:`settle` when it is done."""
        return self._cameras[camera].outlets[outlet].take()

    def settle(
        self, camera: str, outlet: str, frame: Frame, now: float, *, written: bool,
        reason: str = WRITER_ERROR,
    ) -> None:  # fmt: skip
        """Note whether a writer wrote its frame, or why not.

        A camera that is gone has counted the frame already.
        """
        here = self._cameras.get(camera)
        if here is None:
            return
        way = here.outlets[outlet].settle(frame, written=written, reason=reason)
        if written and outlet == here.first:
            here.tallies["write"].add(now - way.left)
            here.tallies["total"].add(now - way.arrived)

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

    def figures(self, camera: str) -> Figures:
        """Return all that is measured of a camera."""
        here = self._cameras[camera]
        latency = {stage: tally.latency() for stage, tally in here.tallies.items()}
        return Figures(self.count(camera), len(here.lane), latency, here.newest)

    def sample(self, camera: str) -> Sample:
        """Return what a camera's history is made of."""
        here = self._cameras[camera]
        return Sample(
            here.decoded, here.left, here.derained, here.rain, here.scored,
            tuple(here.tallies["total"].counts),
        )  # fmt: skip

    def newest(self, camera: str) -> Pair | None:
        """Return the newest frame of a camera that left, before and after."""
        return self._cameras[camera].newest

    def moved(self) -> set[str]:
        """Return the cameras of which frames have left the network's lane since the last call."""
        moved, self._moved = self._moved, set()
        return moved

    def _leave(self, camera: str, now: float) -> None:
        here = self._cameras[camera]
        before = len(here.lane)
        for ticket in here.lane.depart(now):
            frame = ticket.frame
            here.left += 1
            if frame.derained:
                here.derained += 1
            else:
                here.bypassed[frame.bypass or "unknown"] += 1
            if frame.rain is not None:
                here.rain += frame.rain
                here.scored += 1
            self._version += 1
            was = frame.picture if ticket.before is None else ticket.before
            here.newest = Pair(self._version, was, frame.picture, frame)
            way = Way(ticket.arrived, now)
            for outlet in here.outlets.values():
                outlet.offer(frame, way)
        if len(here.lane) != before:
            self._moved.add(camera)
