"""Which segment is cleaned next, and which recording is looked through ahead of that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["PATIENCE", "Schedule", "Work"]

PATIENCE = 3
"""Workers that a segment may take along before it is held to be its own fault."""

Work = tuple[int, int]
"""A video and the number of one of its segments."""


@dataclass
class _Video:
    waiting: dict[int, int]  # frames by number of those that nobody works on
    known: set[int]  # what they must know is known
    running: dict[int, int] = field(default_factory=dict)
    deaths: dict[int, int] = field(default_factory=dict)
    scouted: bool = False
    begun: bool = False
    stuck: int | None = None  # the first segment that the last scout couldn't tell of
    scouts: int = 0  # so many in a row

    @property
    def ready(self) -> list[int]:
        return sorted(self.known & self.waiting.keys())

    @property
    def unknown(self) -> list[int]:
        return sorted(self.waiting.keys() - self.known)

    @property
    def left(self) -> int:
        return sum(self.waiting.values())


class Schedule:
    """Decides what idle workers do.

    A segment is ready when what it must know of all before it is known: the one before is done, or
    a scout has looked through the recording that far. Of those that are ready come first: the one
    that no other of its video waits behind, so that videos get finished; then one of the video with
    the fewest at work, begun ones before others, and the one with the least left before that with
    more. Where none is ready, a recording is looked through for each worker that is idle.

    Where videos are begun only as workers run out of work, few are unfinished when all is stopped.
    """

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._videos: dict[int, _Video] = {}

    def add(self, video: int, segments: Mapping[int, int], known: Iterable[int]) -> None:
        """Take up a video.

        Args:
            video: its number, in the order of the command line.
            segments: frames of those that are to be cleaned, by number.
            known: numbers of those that have all they must know.
        """
        self._videos[video] = _Video(dict(segments), set(known))

    def tell(self, video: int, number: int) -> None:
        """Note that what a segment must know is known; harmless twice."""
        if video in self._videos:
            self._videos[video].known.add(number)

    def next(self) -> Work | None:
        """Return what the next idle worker cleans, and note that it does; None for nothing."""
        found = [
            ((len(item.waiting) > 1, len(item.running), not item.begun, item.left, video), ready[0])
            for video, item in self._videos.items()
            if (ready := item.ready)
        ]
        if not found:
            return None
        (*_, video), number = min(found)
        item = self._videos[video]
        item.running[number] = item.waiting.pop(number)
        item.begun = True
        return video, number

    @property
    def ready(self) -> int:
        """How many segments could be begun now."""
        return sum(len(item.ready) for item in self._videos.values())

    def scout(self, idle: int) -> dict[int, tuple[int, int]]:
        """Return which recordings are to be looked through, and note that they are.

        Args:
            idle: workers that have nothing to do.

        Returns:
            By video the numbers of the segments to begin with, which is known, and to end before.
        """
        spare = idle - self.ready - sum(item.scouted for item in self._videos.values())
        wanted = sorted(
            (-sum(item.waiting[number] for number in item.unknown), video)
            for video, item in self._videos.items()
            if item.unknown and not item.scouted and not self._leads_nowhere(item)
        )
        told: dict[int, tuple[int, int]] = {}
        for _, video in wanted[: max(0, spare)]:
            item = self._videos[video]
            item.scouted = True
            told[video] = item.unknown[0] - 1, item.unknown[-1] + 1
        return told

    def scouted(self, video: int) -> None:
        """Note that nobody looks through a recording any more, be it that he came to its end.

        Where several in a row could not say more, as in front of a damaged place, no other is
        sent until a worker has come further.
        """
        item = self._videos.get(video)
        if item is None:
            return
        item.scouted = False
        first = next(iter(item.unknown), None)
        item.scouts = item.scouts + 1 if first == item.stuck else 1
        item.stuck = first

    def _leads_nowhere(self, item: _Video) -> bool:
        return item.unknown[0] == item.stuck and item.scouts >= self._patience

    def done(self, video: int, number: int) -> None:
        """Note that a segment is cleaned, and that the next one has what it must know."""
        if video in self._videos:
            self._videos[video].running.pop(number, None)
            self.tell(video, number + 1)

    def lost(self, video: int, number: int, *, blamed: bool) -> bool:
        """Put a segment back whose worker was lost.

        Args:
            blamed: it may have been the segment's fault, since the worker's node is well.

        Returns:
            Whether it is tried again; otherwise it has taken too many workers along.
        """
        item = self._videos.get(video)
        if item is None or number not in item.running:
            return True
        item.waiting[number] = item.running.pop(number)
        item.deaths[number] = item.deaths.get(number, 0) + blamed
        return item.deaths[number] < self._patience

    def stop(self, video: int) -> None:
        """Begin no more of a video."""
        if video in self._videos:
            self._videos[video].waiting.clear()

    def is_over(self, video: int) -> bool:
        """Say whether nothing of a video is left to do and nobody works on it."""
        item = self._videos.get(video)
        return item is None or not (item.waiting or item.running)

    def remove(self, video: int) -> None:
        """Forget a video."""
        self._videos.pop(video, None)
