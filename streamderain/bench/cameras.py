"""Cameras as ``run`` serves them, in this process: from frames in memory to results in memory."""

from __future__ import annotations

import re
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from streamderain.bench.figures import quantile
from streamderain.bench.footage import Footage
from streamderain.bench.results import Cameras
from streamderain.bench.stages import ALWAYS
from streamderain.channel import Cancelled
from streamderain.closing import ClosesAtExit
from streamderain.config import CameraDefaults, RunConfig
from streamderain.frame import Frame, SourceFormat, copy_of
from streamderain.inference.backend import Backend
from streamderain.inference.running import derain_coded
from streamderain.live.camera import CameraWorker
from streamderain.live.engine import Engine, Run
from streamderain.live.exchange import Exchange
from streamderain.live.lane import LaneSettings
from streamderain.live.outlet import Outlet
from streamderain.live.supervision import Backoff, Supervision
from streamderain.live.switchboard import Switchboard
from streamderain.models import NULL
from streamderain.readers.live import LiveSource, Shape
from streamderain.readers.playing import PlayedSource

__all__ = ["Seen", "cameras_of", "measure_cameras"]

WARM = 0.25
"""Share of the time that comes before what counts: runtimes compile, costs are learnt."""

SAMPLE_S = 0.05
"""Between two looks at the memory."""

JOIN_S = 5.0
"""How long a thread may take to end."""

RESULTS = "results"
"""What is called the queue of a camera's frames that have come out."""


@dataclass
class Seen:
    """What came out.

    Attributes:
        ways: of each frame, when it came and when it left, in seconds, and whether the network
            cleaned it.
        batches: of each run of the network, when it ended, and how many frames it had.
    """

    ways: list[tuple[float, float, bool]] = field(default_factory=list)
    batches: list[tuple[float, int]] = field(default_factory=list)


def cameras_of(
    seen: Seen, begin: float, end: float, *, cameras: int, asked: float, cpu_s: float,
    grown: float | None, peak: float | None,
) -> Cameras:  # fmt: skip
    """Return the figures of what happened between two moments. Pure.

    Args:
        seen: all that came out.
        begin, end: seconds.
        cameras: how many there were.
        asked: frames a second that each was to give.
        cpu_s: seconds that all cores worked from the first moment to the second.
        grown, peak: what the process grew by, and the most that it had: bytes, or None.
    """
    length = end - begin
    ways = [way for way in seen.ways if begin <= way[1] < end]
    took = [1000 * (left - came) for came, left, cleaned in ways if cleaned]
    sizes = [size for at, size in seen.batches if begin <= at < end]
    return Cameras(
        cameras=cameras,
        asked_per_second=asked,
        arrived_per_second=len(ways) / length,
        cleaned_per_second=len(took) / length,
        cleaned=len(took) / len(ways) if ways else 0.0,
        p50_ms=quantile(took, 0.5) if took else None,
        p95_ms=quantile(took, 0.95) if took else None,
        mean_batch=statistics.mean(sizes) if sizes else None,
        largest_batch=max(sizes, default=None),
        cores_busy=cpu_s / length,
        memory_mb_per_camera=None if grown is None else grown / cameras / 2**20,
        peak_memory_mb=None if peak is None else peak / 2**20,
    )


class _Street(ClosesAtExit):
    """The footage for ever, each frame in memory of its own, as from a decoder."""

    name = "scene"
    corrupt_frames = 0

    def __init__(self, footage: Footage, fps: Fraction) -> None:
        self._footage, self._fps = footage, fps
        self.problems: list[str] = []
        self.format: SourceFormat = replace(footage.format, frame_rate=fps, time_base=1 / fps)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._footage.frames():
            frame.picture, frame.time_base = copy_of(frame.picture), 1 / self._fps
            yield frame

    def close(self) -> None:
        """Do nothing: who plays it ends it."""


class _Site:
    """All threads of so many cameras: those that read, the network's, those that take results."""

    def __init__(
        self, backend: Backend, footage: Footage, cameras: int, fps: Fraction, batch: int | None
    ) -> None:
        self._footage, self._fps = footage, fps
        self.seen = Seen()
        self.error: Exception | None = None
        defaults = CameraDefaults()
        wait_s = float(RunConfig.model_fields["batch_wait"].default)
        self._engine = Engine(backend, batch=batch, batch_wait=wait_s, tell=self._note)
        self._exchange = Exchange(Switchboard(self._engine.batcher))
        self._workers: list[CameraWorker] = []
        self._threads = [
            threading.Thread(
                target=self._engine.run, args=(self._exchange,), name="infer", daemon=True
            ),
            threading.Thread(target=self._exchange.keep_time, name="deadlines", daemon=True),
        ]
        for index in range(cameras):
            name = f"camera{index}"
            settings = LaneSettings(
                capacity=defaults.queue, overload=defaults.overload, staleness_s=defaults.staleness
            )
            self._exchange.add(name, settings, {RESULTS: Outlet("publish", defaults.queue)})
            self._workers.append(self._worker(name, defaults))
            self._threads.append(
                threading.Thread(target=self._take, args=(name,), name=name, daemon=True)
            )

    def start(self) -> None:
        """Start all threads, the cameras one after the other within the time of a frame."""
        for thread in self._threads:
            thread.start()
        for worker in self._workers:
            worker.tend()
            time.sleep(1 / float(self._fps) / len(self._workers))

    def stop(self) -> None:
        """End all threads; what is under way is lost."""
        for worker in self._workers:
            worker.stop()
        self._exchange.cancel()
        for worker in self._workers:
            worker.join(JOIN_S)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(JOIN_S)

    def _connect(self) -> LiveSource:
        return PlayedSource(_Street(self._footage, self._fps), pace=True)

    def _worker(self, name: str, defaults: CameraDefaults) -> CameraWorker:
        needs = self._engine.needs
        return CameraWorker(
            name, self._connect, self._exchange,
            Supervision(Backoff(defaults.backoff, defaults.backoff_most), defaults.timeout,
                        defaults.stall),
            shape=Shape(), gate=ALWAYS, remembers=needs.remembers, planes=needs.planes,
            bypass=needs.bypass, tell=lambda *_: None,
        )  # fmt: skip

    def _note(self, run: Run) -> None:
        if run.error is not None:
            self.error = self.error or run.error
        else:
            self.seen.batches.append((time.time(), run.frames))

    def _take(self, name: str) -> None:
        while True:
            try:
                frame = self._exchange.take(name, RESULTS)
            except Cancelled:
                return
            if frame is None:
                continue
            cleaned = frame.derained or frame.bypass == NULL
            self.seen.ways.append((frame.t_capture_ns / 1e9, time.time(), cleaned))
            self._exchange.settle(name, RESULTS, frame, written=True)


def measure_cameras(
    backend: Backend,
    footage: Footage,
    cameras: int,
    seconds: float,
    *,
    fps: Fraction = Fraction(25),
    batch: int | None = None,
) -> Cameras:
    """Measure cameras that all give so many frames a second, whether or not they can be cleaned.

    What can't be cleaned in time passes as it came, by the defaults of ``run``. It rains all the
    time.

    Args:
        backend: what runs the network.
        footage: what each camera shows.
        cameras: how many.
        seconds: how long, after a quarter of it that doesn't count.
        fps: of each camera.
        batch: frames a run of the network at most, or None to choose.

    Raises:
        ModelError: the network failed.
    """
    for _ in range(2):  # what the network takes anyway is not the cameras'
        derain_coded(backend, footage.coded[:1])
    before = _memory("VmRSS")
    site = _Site(backend, footage, cameras, fps, batch)
    try:
        site.start()
        held = _watch(site, WARM * seconds)
        begin, worked = time.time(), time.process_time()
        held += _watch(site, seconds)
        end, cpu_s = time.time(), time.process_time() - worked
    finally:
        site.stop()
    if site.error is not None:
        raise site.error
    grown = None if before is None or not held else max(0, max(held) - before)
    return cameras_of(
        site.seen, begin, end, cameras=cameras, asked=float(fps), cpu_s=cpu_s, grown=grown,
        peak=_memory("VmHWM"),
    )  # fmt: skip


def _watch(site: _Site, seconds: float) -> list[int]:
    """Wait, and return what the process had in memory meanwhile, in bytes, if that is told."""
    found, until = list[int](), time.monotonic() + seconds
    while time.monotonic() < until and site.error is None:
        resident = _memory("VmRSS")
        if resident is not None:
            found.append(resident)
        time.sleep(min(SAMPLE_S, max(0.0, until - time.monotonic())))
    return found


def _memory(key: str) -> int | None:
    """Return what Linux tells of this process: ``VmRSS`` now, ``VmHWM`` at most, in bytes."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{key}:\s*(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
