"""One camera: the thread that reads it, and how the watchdog keeps it going."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from streamderain.channel import Cancelled
from streamderain.frame import Frame, Planes, pixels_of
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import DRY, RainWatch
from streamderain.inference.past import Recall, TemporalPrior
from streamderain.live.exchange import Exchange
from streamderain.live.reports import Mode
from streamderain.live.supervision import Action, CameraState, Change, Fault, Supervision
from streamderain.readers.capture import LagGuard, RateLimiter
from streamderain.readers.live import (
    Captured,
    LiveSource,
    Shape,
    SourceLostError,
    SourceRefusedError,
    SourceWrongError,
)

__all__ = ["OFF", "CameraHealth", "CameraWorker"]

log = logging.getLogger("streamderain")

OFF = "off"
"""``Frame.bypass`` of a frame of a camera that isn't to be derained."""

LEAVING_S = 1.0
"""How long a thread that was told to end may take before a new connection is made beside it."""

SURE = 2
"""Frames in a row that the network took, after which it will probably take the next."""

MAX_STUCK = 3
"""Threads of one camera that may hang inside a driver or a library before no more are started."""


class CameraHealth:
    """Counts of one camera beside its frames.

    Attributes:
        corrupt: frames that came damaged.
        damaged: packets that could not be decoded at all.
        connects: connections that gave a frame.
    """

    def __init__(self) -> None:
        self.corrupt = self.damaged = self.connects = 0


@dataclass(slots=True)
class _Judging:
    """What looks at the frames of one session before they go on."""

    limiter: RateLimiter
    watch: RainWatch
    past: TemporalPrior | None
    last: Recall | None = None
    taken: int = 0
    """Frames in a row that the network took."""


class CameraWorker:
    """Reads one camera into the exchange, for ever.

    Args:
        name: the camera's id.
        key: what the exchange knows it by; the id unless told.
        open_source: connects; raises one of the faults of ``readers.live``.
        exchange: takes the frames.
        supervision: decides when to connect and when to give up.
        shape: cuts and scales.
        max_fps: frames a second at most, or None.
        max_lag_s: frames are left out where the reader stays so far behind the camera; or None.
        loops: a source that ends begins anew (a file).
        ends: a source that ends is over (a file); else it is lost (a camera).
        bypass: frames don't go into the network, for this reason; or None.
        gate: when it rains; dry frames don't go into the network. None lets all go.
        remembers: the network wants to know what the last frames say of each.
        planes: the network takes pictures as cameras code them. Where it doesn't, they are
            converted here, in the camera's own thread.
        tell: is told every change of state.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], LiveSource],
        exchange: Exchange,
        supervision: Supervision,
        *,
        key: str | None = None,
        shape: Shape,
        max_fps: float | None = None,
        max_lag_s: float | None = None,
        loops: bool = False,
        ends: bool = False,
        bypass: str | None = None,
        gate: GateConfig | None = None,
        remembers: bool = False,
        planes: bool = True,
        tell: Callable[[str, Change], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.key = name, key or name
        self._open, self._exchange, self._supervision = open_source, exchange, supervision
        self._shape, self._max_fps, self._max_lag = shape, max_fps, max_lag_s
        self._loops, self._ends, self._bypass = loops, ends, bypass
        self._gate, self._remembers, self._planes = gate, remembers, planes
        self._tell, self._clock = tell, clock
        self._lock = threading.Lock()
        self._generation = 0
        self._sessions = 0
        self._thread: threading.Thread | None = None
        self._leaving_until = float("-inf")
        self._stuck: list[threading.Thread] = []
        self._stopping = False
        self.health = CameraHealth()
        self.mode: Mode = "auto"
        self.raining: bool | None = None
        """Whether the newest frame goes for rainy; None where nobody knows."""

    def tend(self) -> None:
        """Do what is due: connect, or give up on a thread that hangs."""
        with self._lock:
            if self._stopping:
                return
            action = self._supervision.due(self._clock())
            if action is Action.ABANDON:
                self._abandon()
            elif action is Action.CONNECT and not self._waits_for_thread():
                self._start()
            changes = self._supervision.changes()
        for change in changes:
            self._tell(self.name, change)

    def state(self) -> tuple[str, str | None]:
        """Return the state and why."""
        with self._lock:
            return self._supervision.state.value, self._supervision.message

    @property
    def since(self) -> float:
        """When the state began, on the clock."""
        return self._supervision.since

    @property
    def paused(self) -> bool:
        """Whether there is to be no connection."""
        return self._supervision.state is CameraState.PAUSED

    @property
    def was_up(self) -> bool:
        """Whether nothing is to be waited for: a frame came, or it is paused, or has ended."""
        state = self._supervision.state
        return bool(self.health.connects) or state in (CameraState.PAUSED, CameraState.ENDED)

    def pause(self) -> None:
        """Disconnect, at the next frame, until :meth:`resume`; frames under way go on."""
        with self._lock:
            if not self.paused:
                self._generation += 1
                self._leaving_until = self._clock() + LEAVING_S
                self._supervision.pause(self._clock())

    def resume(self) -> None:
        """Connect again."""
        with self._lock:
            self._supervision.resume(self._clock())

    def adapt(self, bypass: str | None, *, remembers: bool, planes: bool) -> None:
        """Give frames as another network wants them, from the next one on; see the class."""
        self._bypass, self._remembers, self._planes = bypass, remembers, planes

    def stop(self) -> None:
        """Begin no connection any more, and end what can be ended from here."""
        with self._lock:
            self._stopping = True
            self._generation += 1

    def join(self, timeout: float) -> bool:
        """Wait for the thread; False where it is still busy, and is left to the system."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _waits_for_thread(self) -> bool:
        """Whether the last thread is still hanging up: many cameras allow few connections."""
        if self._thread is None or not self._thread.is_alive():
            self._leaving_until = float("-inf")
            return False
        if self._clock() < self._leaving_until:
            return True
        if self._leaving_until > float("-inf"):
            self._stuck.append(self._thread)
            self._leaving_until = float("-inf")
        return False

    def _start(self) -> None:
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        now = self._clock()
        self._supervision.started(now)
        if len(self._stuck) >= MAX_STUCK:
            self._supervision.lost(
                Fault.DEFECT,
                f"{len(self._stuck)} connections hang and can't be ended; restart streamderain",
                now,
            )
            return
        self._generation += 1
        self._thread = threading.Thread(
            target=self._run, args=(self._generation,), name=f"read {self.name}", daemon=True
        )
        self._thread.start()

    def _abandon(self) -> None:
        """Leave a thread that hangs to itself; what it still gives is not taken."""
        self._generation += 1
        if self._thread is not None:
            self._stuck.append(self._thread)
        self._supervision.lost(Fault.LOST, "the connection hung; it was given up", self._clock())

    def _run(self, generation: int) -> None:
        try:
            with self._open() as source:
                self._read(source, generation)
                notes = source.notes
            self._over(generation, notes)
        except Cancelled:
            pass
        except SourceLostError as error:
            self._lost(generation, Fault.LOST, str(error))
        except SourceRefusedError as error:
            self._lost(generation, Fault.REFUSED, str(error))
        except SourceWrongError as error:
            self._lost(generation, Fault.WRONG, str(error))
        except Exception as error:
            log.exception("%s: a defect of streamderain; the camera is started anew", self.name)
            self._lost(generation, Fault.DEFECT, f"unexpected {type(error).__name__}: {error}")

    def _read(self, source: LiveSource, generation: int) -> None:
        part, index, damaged, said = -1, 0, 0, 0
        session, guard, judging = 0, LagGuard(self._max_lag), self._anew()
        for captured in source:
            with self._lock:
                if generation != self._generation:
                    raise Cancelled
                self._supervision.got(self._clock())
                if captured.part != part:
                    part, index, judging = captured.part, 0, self._anew()
                    session, self._sessions = self._sessions, self._sessions + 1
                self.health.connects = self._supervision.connects
                self.health.corrupt += captured.corrupt
                self.health.damaged += source.damaged - damaged
                damaged = source.damaged
            for note in source.notes[said:]:
                log.warning("%s: %s", self.name, note)
            said = len(source.notes)
            self._hand_on(captured, session, index, guard, judging)
            index += 1
            with self._lock:
                if generation == self._generation:
                    self._supervision.reading(self._clock())

    def _anew(self) -> _Judging:
        return _Judging(RateLimiter(self._max_fps), RainWatch(self._gate), None)

    def _hand_on(
        self, captured: Captured, session: int, index: int, guard: LagGuard, judging: _Judging
    ) -> None:
        seconds = captured.taken.ns / 1e9
        if captured.pts is not None:
            seconds = float(captured.pts * captured.time_base)
        if not judging.limiter.admits(seconds):
            self._exchange.skip(self.key, "max_fps")
            return
        if not guard.admits(captured.lag_s, self._clock()):
            self._exchange.skip(self.key, "late")
            return
        whole = captured.picture()
        shown = self._shape.apply(whole)
        frame = Frame(
            self.name, session, index, captured.pts, captured.time_base,
            shown if self._planes else pixels_of(shown), t_capture_ns=captured.taken.ns,
            t_source=captured.taken.source, corrupt=captured.corrupt,
            bypass="corrupt" if captured.corrupt else self._bypass,
            coded=whole.colour if isinstance(whole, Planes) else None,
        )  # fmt: skip
        self._judge(frame, judging.watch)
        self._exchange.offer(self.key, frame, self._prior(frame, judging))

    def _judge(self, frame: Frame, watch: RainWatch) -> None:
        """Say whether it goes to the network: as it rains, or as somebody wants it."""
        if frame.bypass is not None:
            return
        mode = self.mode
        watch.judge(frame)
        self.raining = frame.bypass != DRY if self._gate else None
        if mode != "auto":
            frame.bypass = OFF if mode == "off" else None

    def _prior(self, frame: Frame, judging: _Judging) -> Recall | None:
        """Return what the past says of a frame, and remember it.

        Where the network had taken the last two when the next came, the prior is made here, in the
        camera's own thread. Else it may not take this one, and whoever takes it makes it: half of a
        small machine's time would go into priors of frames that pass as they came.
        """
        if not self._remembers:
            judging.past = judging.last = None
            return None
        judging.past = judging.past or TemporalPrior()
        if frame.corrupt:
            return None
        if frame.bypass is not None:
            judging.past.remember(frame.picture)
            return None
        last, recalled = judging.last, judging.past.later(frame.picture)
        judging.last = recalled
        judging.taken = judging.taken + 1 if last is not None and last.used else 0
        if last is None or judging.taken >= SURE:
            recalled.make()
        return recalled

    def _over(self, generation: int, notes: list[str]) -> None:
        """The source gave its last frame."""
        with self._lock:
            if generation != self._generation:
                return
            now = self._clock()
            if self._loops:
                self._supervision.again(now)
            elif self._ends:
                self._supervision.ended(now)
            else:
                self._supervision.lost(Fault.LOST, "the camera ended the stream", now)

    def _lost(self, generation: int, fault: Fault, message: str) -> None:
        with self._lock:
            if generation == self._generation:
                self._supervision.lost(fault, message, self._clock())
