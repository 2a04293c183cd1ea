"""Frames that were looked at, ready for the network: all of a recording, the newest of a camera.

A thread reads, judges whether it rains, and asks the past what it knows; whoever takes the frames
runs the network over those that he wants. So a camera never waits for the network, and nothing is
derained that nobody takes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import cast

from streamderain.channel import Cancelled, Channel
from streamderain.errors import InputError
from streamderain.frame import Frame, SourceFormat
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import judged
from streamderain.inference.past import Recall
from streamderain.inference.prior import Prior
from streamderain.inference.remembering import remembered
from streamderain.live.camera import CameraWorker
from streamderain.live.exchange import Exchange
from streamderain.live.supervision import Backoff, Change, Supervision
from streamderain.pipeline import channel_capacity
from streamderain.readers.base import Reader
from streamderain.readers.live import LiveSource, Shape

__all__ = ["CameraFeed", "Looked", "RecordingFeed"]

log = logging.getLogger("streamderain")

Looked = tuple[Frame, Prior | Recall | None]
"""A frame, judged, and what the frames around it say of its scene, or what that is made of."""

NEWER = "newer"
"""Why a camera's frame is left out: nobody took it before the next one came."""

TEND_S = 0.2
"""How often whoever waits for a camera looks after its connection."""

LEAVING_S = 2.0
"""How long a thread may take to end."""

RATE_FRAMES = 50
"""Frames over which a camera's rate is measured."""

ENOUGH = 12
"""Frames that tell it well enough."""


class RecordingFeed:
    """Every frame of a recording, in order.

    Args:
        reader: opened; closed with this.
        gate: when it rains; None lets all frames go to the network.
        lookahead: frames after each that its prior is made of as well; None where the network
            wants no priors.
        batch: frames that are taken at once.
        planes: the network takes pictures as they are coded; else they are converted here.
    """

    def __init__(
        self, reader: Reader, *, gate: GateConfig | None, lookahead: int | None, batch: int,
        planes: bool = True,
    ) -> None:  # fmt: skip
        self._reader, self._gate, self._lookahead = reader, gate, lookahead
        self._planes = planes
        source = reader.format
        self._channel = Channel[Looked](channel_capacity(source.height * source.width * 3, batch))
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name=f"read {reader.name}", daemon=True)
        self._thread.start()

    @property
    def format(self) -> SourceFormat:
        """What is known of the recording."""
        return self._reader.format

    @property
    def problems(self) -> list[str]:
        """Sentences about damage, complete after the last frame."""
        return self._reader.problems

    def take(self, timeout: float | None = None) -> Looked | None:
        """Wait for the next frame, however long that takes; None after the last one."""
        try:
            looked = next(self._channel, None)
        except Cancelled:
            return None
        if looked is None and self._error is not None:
            raise self._error
        return looked

    def close(self) -> None:
        """End the reading."""
        self._channel.cancel()
        self._reader.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(LEAVING_S)

    def _read(self) -> None:
        try:
            for looked in self._looked():
                self._channel.put(looked)
        except Cancelled:
            return
        except BaseException as error:  # noqa: BLE001 - raised by whoever takes
            self._error = error
        self._channel.close()

    def _looked(self) -> Iterator[Looked]:
        frames: Iterator[Frame] = iter(self._reader)
        if self._gate is not None:
            frames = judged(frames, self._gate)
        looked: Iterable[tuple[Frame, Prior | None]] = ((frame, None) for frame in frames)
        if self._lookahead is not None:
            looked = remembered(frames, self._lookahead)
        for frame, prior in looked:
            if not self._planes or frame.bypass is not None:
                _ = frame.pixels  # made here: whoever takes it has other things to do
            yield frame, prior if prior is None or self._planes else prior.in_rgb()


class _Newest:
    """The newest frame of a camera; what it replaces is counted. Takes an exchange's place."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._looked: Looked | None = None
        self._decoded = 0
        self._dropped: Counter[str] = Counter()
        self._times: deque[tuple[int, Fraction]] = deque(maxlen=RATE_FRAMES)
        self.closed = False

    def offer(self, camera: str, frame: Frame, prior: Recall | None = None) -> None:
        with self.changed:
            if self.closed:
                raise Cancelled
            if self._looked is not None:
                self._dropped[NEWER] += 1
            self._decoded += 1
            frame.decoded, frame.dropped = self._decoded, {}
            self._note_time(frame)
            self._looked = frame, prior
            self.changed.notify_all()

    def skip(self, camera: str, reason: str) -> None:
        with self.changed:
            if self.closed:
                raise Cancelled
            self._decoded += 1
            self._dropped[reason] += 1

    def take(self, timeout: float) -> Looked | None:
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self._looked is not None, timeout)
            looked, self._looked = self._looked, None
            if looked is None or self.closed:
                return None
            # All that was left out between the frame taken before and this one.
            looked[0].dropped, self._dropped = dict(self._dropped), Counter()
            return looked

    def rate(self, timeout: float) -> float | None:
        with self.changed:
            self.changed.wait_for(lambda: self.closed or len(self._times) >= ENOUGH, timeout)
            if len(self._times) < 3:
                return None
            span = float(self._times[-1][1] - self._times[0][1])
            return (len(self._times) - 1) / span if span > 0 else None

    def _note_time(self, frame: Frame) -> None:
        seconds = Fraction(frame.t_capture_ns, 1_000_000_000)
        if frame.pts is not None:
            seconds = frame.pts * frame.time_base
        if self._times and (frame.session != self._times[-1][0] or seconds < self._times[-1][1]):
            self._times.clear()
        self._times.append((frame.session, seconds))

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class CameraFeed:
    """The newest frame of a camera, which is connected to anew whenever it is lost.

    Args:
        camera: its id.
        shown: what messages call it.
        connect: opens the source; raises one of the faults of ``readers.live``.
        gate: when it rains; None lets all frames go to the network.
        remembers: the network wants priors.
        planes: it takes pictures as they are coded.
        bypass: frames don't go into the network, for this reason; or None.
        ends: the source may come to an end; else that is a fault.
        timeout_s, stall_s: for connecting, and without a frame.
        max_lag_s: frames are left out where decoding stays so far behind the camera; or None.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        camera: str,
        shown: str,
        connect: Callable[[], LiveSource],
        *,
        gate: GateConfig | None,
        remembers: bool,
        planes: bool = True,
        bypass: str | None,
        ends: bool,
        timeout_s: float = 10.0,
        stall_s: float = 5.0,
        max_lag_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shown, self._clock = shown, clock
        self._newest = _Newest()
        self._worker = CameraWorker(
            camera, connect, cast(Exchange, self._newest),
            Supervision(Backoff(1.0, 30.0), timeout_s, stall_s), shape=Shape(),
            max_lag_s=max_lag_s, ends=ends, bypass=bypass, gate=gate, remembers=remembers,
            planes=planes, tell=_tell, clock=clock,
        )  # fmt: skip
        self._worker.tend()

    @property
    def state(self) -> tuple[str, str | None]:
        """What the camera does, as in docs/live.md, and why."""
        return self._worker.state()

    def rate(self, timeout: float = 0.0) -> float | None:
        """Return its frames a second, as measured; None before the third one.

        Args:
            timeout: seconds that may be waited until a few have come.
        """
        return self._newest.rate(timeout)

    def take(self, timeout: float | None = None) -> Looked | None:
        """Wait for a frame that was not taken yet.

        Raises:
            InputError: its password is refused, or there is no such stream, and there never was a
                frame; or nothing came for ``timeout`` seconds.
        """
        until = None if timeout is None else self._clock() + timeout
        while not self._newest.closed:
            self._worker.tend()
            state, message = self._worker.state()
            left = TEND_S if until is None else max(0.0, min(TEND_S, until - self._clock()))
            looked = self._newest.take(0.0 if state == "ended" else left)
            if looked is not None:
                return looked
            if state == "ended":
                return None
            if state == "failed" and not self._worker.was_up:
                raise InputError(message or f"{self._shown} can't be opened")
            if until is not None and self._clock() >= until:
                why = f": {message}" if message else ""
                raise InputError(f"no frame of {self._shown} for {timeout:g} s{why}")
        return None

    def close(self) -> None:
        """Hang up."""
        self._newest.close()
        self._worker.stop()
        self._worker.join(LEAVING_S)


def _tell(camera: str, change: Change) -> None:
    """Log a change of state, as ``run`` does."""
    calm = change.state.value in ("live", "ended", "paused")
    because = f": {change.message}" if change.message else ""
    log.log(logging.INFO if calm else logging.WARNING, "%s: %s%s", camera, change.state, because)
