"""The address book: where each camera of a cluster is published, told and followed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from streamderain.wire import AddressHeader

__all__ = ["Book", "Follower", "Moves", "Place"]


@dataclass(frozen=True)
class Place:
    """Where a camera is.

    Attributes:
        run: of its frames.
        node: as people may see it.
        addresses: where SUB sockets connect.
        push: where PULL sockets connect.
    """

    run: str
    node: str
    addresses: tuple[str, ...] = ()
    push: tuple[str, ...] = ()


@dataclass
class _Page:
    """What the book says of one camera."""

    state: str = "waiting"
    message: str | None = None
    place: Place | None = None
    since_ns: int | None = None
    placement: int = 0
    seq: int = 0
    is_new: bool = True


class Book:
    """What is to be told of each camera, and when.

    Args:
        book: id of this run of the book.
        cameras: ids.
        every_s: each camera is told at least so often, seconds.
    """

    def __init__(self, book: str, cameras: Iterable[str], every_s: float = 1.0) -> None:
        self._book, self._every = book, every_s
        self._pages = {camera: _Page() for camera in cameras}
        self._told_at = float("-inf")

    def put(
        self, camera: str, state: str, message: str | None, place: Place | None, wall_ns: int
    ) -> None:
        """Note what a camera does, and where it is published; None for nowhere.

        Args:
            camera: id.
            state: as in :class:`~streamderain.wire.AddressHeader`.
            message: why, without secrets.
            place: where it is.
            wall_ns: nanoseconds since 1970, now.
        """
        page = self._pages[camera]
        if place != page.place:
            page.since_ns = None if place is None else wall_ns
            page.placement += place is not None
        page.is_new |= (state, message, place) != (page.state, page.message, page.place)
        page.state, page.message, page.place = state, message, place

    def due(self, now: float, wall_ns: int) -> list[AddressHeader]:
        """Return the entries to publish now: all of them each second, and what has changed.

        Args:
            now: monotonic seconds.
            wall_ns: nanoseconds since 1970.
        """
        is_time = now - self._told_at >= self._every
        if is_time:
            self._told_at = now
        told = []
        for camera, page in self._pages.items():
            if is_time or page.is_new:
                told.append(self._entry(camera, page, wall_ns))
                page.seq += 1
                page.is_new = False
        return told

    def _entry(self, camera: str, page: _Page, wall_ns: int) -> AddressHeader:
        place = page.place
        return AddressHeader.model_validate(
            {
                "camera": camera, "book": self._book, "seq": page.seq, "t_publish_ns": wall_ns,
                "state": page.state, "message": page.message, "placement": page.placement,
                "since_ns": page.since_ns, "run": place.run if place else None,
                "node": place.node if place else None,
                "addresses": place.addresses if place else (),
                "push": place.push if place else (),
            }
        )  # fmt: skip


@dataclass(frozen=True)
class Moves:
    """What a subscriber's socket has to do.

    Attributes:
        connect: addresses that are new.
        disconnect: addresses at which nothing that is wanted is published any more.
    """

    connect: tuple[str, ...] = ()
    disconnect: tuple[str, ...] = ()


@dataclass
class Follower:
    """What a subscriber makes of the book.

    An address is kept for as long as the book has no other: a camera that is ``moving`` may still
    be there, and one that isn't costs nothing.

    Args:
        pull: follow the addresses for PULL sockets, not those for SUB.
        wanted: ids of cameras, or None for all.
    """

    pull: bool = False
    wanted: frozenset[str] | None = None
    _last: dict[str, AddressHeader] = field(default_factory=dict)
    _at: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _runs: dict[str, str] = field(default_factory=dict)

    def note(self, entry: AddressHeader) -> Moves:
        """Take an entry; one that is older than what is known says nothing."""
        camera = entry.camera
        if self.wanted is not None and camera not in self.wanted:
            return Moves()
        last = self._last.get(camera)
        if last is not None and last.book == entry.book and entry.seq <= last.seq:
            return Moves()
        self._last[camera] = entry
        addresses = entry.push if self.pull else entry.addresses
        if entry.run is None or not addresses:
            return Moves()
        self._runs[camera] = entry.run
        before = self._all()
        self._at[camera] = addresses
        after = self._all()
        return Moves(
            tuple(address for address in after if address not in before),
            tuple(address for address in before if address not in after),
        )

    def is_current(self, camera: str, run: str) -> bool:
        """Whether a frame or event comes from where its camera is now, as far as the book says."""
        return self._runs.get(camera, run) == run

    def entry(self, camera: str) -> AddressHeader | None:
        """Return the last entry of a camera, or None."""
        return self._last.get(camera)

    def _all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(address for at in self._at.values() for address in at))
