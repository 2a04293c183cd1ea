"""Frames that OpenVINO runs side by side, each by itself; batch follows batch without a gap."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from streamderain.inference.openvino_ends import Feed

__all__ = ["Lanes", "Run"]


@dataclass(slots=True, eq=False)
class Run:
    """Frames that are under way.

    Attributes:
        feed: they and what comes out.
        left: of them, how many aren't done.
        failure: what the first said that failed.
    """

    feed: Feed
    left: int
    failure: Exception | None = None


class Lanes:
    """Requests of a network, that are run side by side in the order in which they were asked for.

    For one thread. A batch that begins while the one before is under way takes each lane as it
    becomes free; the last frame of a batch would leave the others idle otherwise.

    Args:
        network: compiled, with as many streams as there are lanes.
        count: lanes.
    """

    def __init__(self, network: Any, count: int) -> None:
        # One more than run at a time: its frame is packed while they do.
        self._idle = [network.create_infer_request() for _ in range(count + 1)]
        self._under_way: deque[tuple[Any, Run, int]] = deque()

    def begin(self, feed: Feed) -> Run:
        """Begin with some frames, and return when the last of them has a request."""
        run = Run(feed, feed.count)
        for index in range(feed.count):
            if not self._idle:
                self._end_oldest()
            request = self._idle.pop()
            try:
                feed.fill(request, index, 1)
                request.start_async()
            except BaseException:
                self._idle.append(request)
                raise
            self._under_way.append((request, run, index))
        return run

    def end(self, run: Run) -> None:
        """Wait until its frames have come out.

        Raises:
            RuntimeError: what OpenVINO said of the first that failed.
        """
        while run.left:
            self._end_oldest()
        if run.failure is not None:
            try:
                raise run.failure
            finally:
                run.failure = None  # it holds this frame, which holds the run

    def _end_oldest(self) -> None:
        request, run, index = self._under_way[0]
        try:
            request.wait()
            run.feed.take(request, index, 1)
        except Exception as error:  # noqa: BLE001 - told to whom it belongs: it may not be who waits
            # Without its frames, which hold the memory that it may be about.
            run.failure = run.failure or error.with_traceback(None)
        self._under_way.popleft()  # not before: whoever is interrupted leaves it to the next
        run.left -= 1
        self._idle.append(request)
