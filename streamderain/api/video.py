"""Frames without rain, one after the other, of a recording or a camera."""

from __future__ import annotations

import logging
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from streamderain.api.derainer import Derainer
from streamderain.api.feeds import CameraFeed, RecordingFeed
from streamderain.closing import ClosesAtExit
from streamderain.errors import InputError, StreamderainError, UsageError
from streamderain.frame import Frame, Picture, Pixels
from streamderain.inference.cost import CostModel
from streamderain.inference.past import SPAN, Recall
from streamderain.inference.prior import Prior
from streamderain.models import NULL

__all__ = ["CleanVideo"]

log = logging.getLogger("streamderain")

OVERLOAD = "overload"
"""``Frame.bypass`` of a frame that the network would have taken too long for."""

PROBE_S = 5.0
"""How often a frame that would take too long is tried all the same: there may be time now."""

Feed = CameraFeed | RecordingFeed


@dataclass(slots=True)
class _Item:
    """A frame on its way: looked at, then done."""

    frame: Frame
    prior: Prior | Recall | None
    done: bool = False


class _Holding:
    """What has to be let go of when nobody has the video any more."""

    def __init__(self, feed: Feed, derainer: Derainer | None) -> None:
        self.feed, self.derainer = feed, derainer

    def close(self) -> None:
        self.feed.close()
        if self.derainer is not None:
            self.derainer.close()


class CleanVideo(ClosesAtExit):
    """Frames without rain, as :func:`~streamderain.api.opening.open_clean` gives them.

    An iterator; and, for whoever doesn't want every frame derained, :meth:`grab` and
    :meth:`retrieve`. For one thread; :meth:`close` from any.

    Args:
        feed: gives the frames; closed with this.
        derainer: derains them.
        owns: the derainer is closed with this as well.
        keep_original: keep what went in as ``Frame.original``.
        timeout, staleness: of cameras; see :func:`~streamderain.api.opening.open_clean`.
        reopen: gives the feed of the same recording from so many seconds on, where that can be.
        clock: monotonic seconds.

    Attributes:
        live: it is a camera: the newest frame each time.
        derainer: whose network is used.
        timeout: of cameras, seconds without a frame after which that is an error; None for never.
    """

    def __init__(
        self,
        feed: Feed,
        derainer: Derainer,
        *,
        owns: bool,
        keep_original: bool = False,
        timeout: float | None = None,
        staleness: float | None = None,
        reopen: Callable[[float], RecordingFeed] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.live = isinstance(feed, CameraFeed)
        self.derainer, self.timeout = derainer, timeout
        self._holding = _Holding(feed, derainer if owns else None)
        # Whoever leaves a loop early and forgets about it leaves no thread behind.
        self._finalizer = weakref.finalize(self, self._holding.close)
        self._keep_original, self._staleness, self._reopen = keep_original, staleness, reopen
        self._clock, self._cost, self._tried = clock, CostModel(), float("-inf")
        self._waiting: deque[_Item] = deque()
        self._current: _Item | None = None
        self._skips = self._ended = False
        self._failure: StreamderainError | None = None
        self._origin: Fraction | None = None
        self._offset = self._position = 0
        self._seconds = 0.0

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width; of a camera, those of the last frame, None before the first."""
        if self._current is not None:
            return self._current.frame.size
        feed = self._holding.feed
        if isinstance(feed, RecordingFeed):
            return feed.format.height, feed.format.width
        return None

    @property
    def fps(self) -> float | None:
        """Frames a second: of a recording as it says, of a camera as measured; None if unknown."""
        feed = self._holding.feed
        if isinstance(feed, CameraFeed):
            return feed.rate()
        return None if feed.format.frame_rate is None else float(feed.format.frame_rate)

    def measured_fps(self, timeout: float) -> float | None:
        """Return frames a second; a camera's first ones are waited for, so many seconds."""
        feed = self._holding.feed
        return feed.rate(timeout) if isinstance(feed, CameraFeed) else self.fps

    @property
    def frames(self) -> int | None:
        """How many frames a recording has, as its file says; None for cameras."""
        feed = self._holding.feed
        return feed.format.frames if isinstance(feed, RecordingFeed) else None

    @property
    def state(self) -> tuple[str, str | None]:
        """``live``, ``ended``, or what else docs/live.md says of a camera, and why."""
        feed = self._holding.feed
        if isinstance(feed, CameraFeed):
            return feed.state
        return "ended" if self._ended and not self._waiting else "live", None

    @property
    def problems(self) -> list[str]:
        """Sentences about damage to a recording, complete after the last frame."""
        feed = self._holding.feed
        return list(feed.problems) if isinstance(feed, RecordingFeed) else []

    @property
    def position(self) -> int:
        """Index of the next frame of a recording; how many frames were taken of a camera."""
        return self._position

    @property
    def grabbed(self) -> bool:
        """Whether there is a frame to retrieve."""
        return self._current is not None

    @property
    def seconds(self) -> float:
        """Time of the last frame since the first of a recording; 0 for a camera's."""
        return self._seconds

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if not self.grab():
            raise StopIteration
        return self.retrieve()

    def grab(self) -> bool:
        """Go to the next frame without deraining it; False where there is none any more.

        Raises:
            InputError: the source can't be read, or a camera gave nothing for ``timeout`` seconds.
        """
        self._skips = self._current is not None and not self._current.done
        self._current = self._waiting.popleft() if self._waiting else self._take()
        if self._current is None:
            return False
        self._position += 1
        if self._origin is not None:
            self._seconds = float(self._time(self._current.frame) - self._origin)
        return True

    def retrieve(self) -> Frame:
        """Return the frame that was grabbed, derained or as it came; its pixels are the caller's.

        Raises:
            UsageError: none was grabbed.
            ModelError: the network failed.
        """
        if self._current is None:
            raise UsageError("no frame was grabbed; call grab() before retrieve()")
        if not self._current.done:
            self._clean([self._current, *self._read_ahead(self._current.frame.size)])
        return self._current.frame

    def seek(self, index: int) -> bool:
        """Go to a frame of a recording, by its time and the frame rate; False for a camera.

        The frames before it are read again, so that it is known what is behind the rain in it.

        Args:
            index: from 0; below it means the first, beyond the last one nothing follows.
        """
        if self._reopen is None or not self._finalizer.alive:
            return False
        if self._origin is None:
            self._take()
        index = max(0, index if self.frames is None else min(index, self.frames))
        rate = Fraction(self.fps or 25.0).limit_denominator(100_000)
        self._holding.feed.close()
        self._waiting.clear()
        self._current, self._ended, self._failure = None, False, None
        self._offset, self._position = 0, index
        self._seconds = float(max(0, index - 1) / rate)
        try:
            self._holding.feed = self._reopen(float(max(0, index - SPAN) / rate))
        except InputError:  # there is nothing so late
            self._ended = True
            return True
        begin = (self._origin or 0) + (index - Fraction(1, 2)) / rate
        while (item := self._take()) is not None:
            if self._time(item.frame) >= begin:
                self._offset = index - item.frame.index
                item.frame.index = index
                self._waiting.append(item)
                break
        return True

    def close(self) -> None:
        """Let go of the source; harmless twice, and from another thread."""
        self._finalizer()

    @staticmethod
    def _time(frame: Frame) -> Fraction:
        return (frame.pts or 0) * frame.time_base

    def _take(self) -> _Item | None:
        """Take the next frame of the source, None after the last."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._ended = True
            raise failure
        if self._ended or not self._finalizer.alive:
            return None
        looked = self._holding.feed.take(self.timeout)
        if looked is None:
            self._ended = True
            for problem in self.problems:
                log.warning("%s", problem)
            return None
        frame, prior = looked
        if not self.live and self._origin is None:
            self._origin = self._time(frame)
        frame.index += self._offset
        return _Item(frame, prior)

    def _read_ahead(self, size: tuple[int, int]) -> list[_Item]:
        """Take what is best derained together with a recording's frame.

        A camera's next frame isn't there yet, and whoever skips frames doesn't want the next.
        """
        if self.live or self._skips:
            return []
        count = self.derainer.batch_for(*size) - 1
        while len(self._waiting) < count:
            try:
                item = self._take()
            except StreamderainError as error:  # told when its turn comes
                self._failure = error
                break
            if item is None:
                break
            self._waiting.append(item)
        return [item for item in self._waiting if not item.done][:count]

    def _clean(self, items: list[_Item]) -> None:
        """Derain the frames that want it, and make all of them the caller's."""
        chosen = [item for item in items if self._wants(item.frame)]
        if chosen:
            began = self._clock()
            found = self.derainer.run(
                [self._given(item.frame) for item in chosen], [_made(item.prior) for item in chosen]
            )
            self._cost.observe(chosen[0].frame.size, len(chosen), self._clock() - began)
            for item, pixels in zip(chosen, found, strict=True):
                if self._keep_original:
                    item.frame.original = _own(item.frame)
                item.frame.pixels, item.frame.derained = pixels, True
                item.frame.model = self.derainer.model
        for item in items:
            item.done, item.prior = True, None
            if not item.frame.derained:
                # What is remembered for the frames to come must not be drawn on.
                item.frame.pixels = _own(item.frame)
                if self._keep_original:
                    item.frame.original = item.frame.pixels.copy()

    def _given(self, frame: Frame) -> Picture:
        return frame.picture if self.derainer.takes_planes else frame.pixels

    def _wants(self, frame: Frame) -> bool:
        if self.derainer.model == NULL:
            frame.bypass = NULL
        elif frame.corrupt:
            frame.bypass = "corrupt"
        elif frame.bypass is None and self._takes_too_long(frame.size):
            frame.bypass = OVERLOAD
        return frame.bypass is None

    def _takes_too_long(self, size: tuple[int, int]) -> bool:
        if not self.live or self._staleness is None:
            return False
        now = self._clock()
        if self._cost.expected(size, 1) > self._staleness and now - self._tried < PROBE_S:
            return True
        self._tried = now
        return False


def _own(frame: Frame) -> Pixels:
    """Return a frame as RGB that nobody else has."""
    pixels = frame.pixels
    return pixels.copy() if pixels is frame.picture else pixels


def _made(prior: Prior | Recall | None) -> Prior | None:
    """Return a prior that may have been left to be made when it is needed: now."""
    return prior.use() if isinstance(prior, Recall) else prior
