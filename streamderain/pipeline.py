"""The stages joined: readers → inference → writers, each in its thread.

Decoding, inference and encoding overlap, and so do the steps that inference says it has; a bounded
channel between two stages holds back the faster one, so that memory doesn't grow with the length of
a recording.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from streamderain.channel import Cancelled, Channel
from streamderain.frame import Frame, Step
from streamderain.readers.base import Reader
from streamderain.writers.base import Writer

__all__ = ["FrameProcessor", "Pipeline", "PipelineResult", "channel_capacity"]

QUEUE_BYTES = 192 * 2**20
"""What the frames under way between two stages may take."""


STUCK_S = 5.0
"""How long an interrupted stage may take to come back, in seconds."""


class FrameProcessor(Protocol):
    """What stands between reader and writer: frames in, the same frames out, in order."""

    @property
    def steps(self) -> Sequence[tuple[str, Step]]:
        """What is done with every frame, by name: one after the other, each in a thread."""
        ...


@dataclass
class PipelineResult:
    """What happened.

    Attributes:
        decoded: frames that the reader gave.
        written: frames that the writer took; equal to ``decoded`` when all went well.
        derained: of those written, how many the network cleaned.
        bypassed: of those written, how many it did not, by reason.
        rain: mean rain score, 0 to 1, of the frames that have one; None where none has.
        seconds: wall time.
        busy: seconds that each stage was at work, not waiting for its neighbours: ``decode``, the
            steps of the processor, ``encode``.
    """

    decoded: int = 0
    written: int = 0
    derained: int = 0
    bypassed: Counter[str] = field(default_factory=Counter)
    rain: float | None = None
    seconds: float = 0.0
    busy: dict[str, float] = field(default_factory=dict)


def channel_capacity(frame_bytes: int, batch: int) -> int:
    """Return how many frames may wait between two stages: two batches, within the memory budget.

    One batch is waiting while the network is busy with the one before; more would only be memory.
    """
    wanted = max(4, 2 * batch)
    return max(2, min(wanted, QUEUE_BYTES // max(1, frame_bytes)))


class Pipeline:
    """Run one source through the network into one target.

    Args:
        reader: opened; closed by :meth:`run`.
        processor: the inference stage.
        writer: opened; finished by :meth:`run`, or abandoned where anything went wrong.
        batch: frames that the processor takes at once, for the depth of the channels.
        progress: called from the writing thread with the count of frames written so far.
    """

    def __init__(
        self,
        reader: Reader,
        processor: FrameProcessor,
        writer: Writer,
        *,
        batch: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._reader, self._steps, self._writer = reader, list(processor.steps), writer
        self._progress = progress
        frame_bytes = reader.format.height * reader.format.width * 3
        capacity = channel_capacity(frame_bytes, batch)
        self._channels = [Channel[Frame](capacity) for _ in range(len(self._steps) + 1)]
        names = ["decode", *(name for name, _ in self._steps), "encode"]
        self._result = PipelineResult(busy=dict.fromkeys(names, 0.0))
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def run(self) -> PipelineResult:
        """Run to the end of the source.

        Raises:
            StreamderainError: what the first failing stage said; the target is not there then.
            KeyboardInterrupt: as it came; the target is not there then.
        """
        started = time.monotonic()
        jobs: list[tuple[str, Callable[[], None]]] = [("decode", self._decode)]
        jobs += [(self._steps[at][0], partial(self._step, at)) for at in range(len(self._steps))]
        jobs.append(("encode", self._encode))
        threads = [
            threading.Thread(target=self._guard, args=(job,), name=name, daemon=True)
            for name, job in jobs
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)  # in slices, so that a signal is served
        except BaseException:
            self._cancel()
            self._reader.close()  # wakes a reader that waits for its source
            try:
                for thread in threads:
                    thread.join(STUCK_S)  # a thread that waits for a pipe may never come back
            finally:  # even when the user grows impatient and interrupts again
                self._writer.abandon()
            raise
        finally:
            self._reader.close()
        self._result.seconds = time.monotonic() - started
        if self._error is not None:
            self._writer.abandon()
            raise self._error
        return self._result

    def _cancel(self) -> None:
        for channel in self._channels:
            channel.cancel()

    def _guard(self, stage: Callable[[], None]) -> None:
        """Run a stage; its first error stops the others and is raised by :meth:`run`."""
        try:
            stage()
        except Cancelled:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            with self._lock:
                self._error = self._error or error
            self._cancel()

    def _decode(self) -> None:
        frames, target = iter(self._reader), self._channels[0]
        while True:
            started = time.monotonic()
            frame = next(frames, None)
            self._result.busy["decode"] += time.monotonic() - started
            if frame is None:
                break
            self._result.decoded += 1
            target.put(frame)
        target.close()

    def _step(self, index: int) -> None:
        name, step = self._steps[index]
        source, target = self._channels[index : index + 2]
        waited = 0.0

        def incoming() -> Iterator[Frame]:
            nonlocal waited
            while True:
                before = time.monotonic()
                frame = next(source, None)
                waited += time.monotonic() - before
                if frame is None:
                    return
                yield frame

        started = time.monotonic()
        for frame in step(incoming()):
            before = time.monotonic()
            target.put(frame)
            waited += time.monotonic() - before
        self._result.busy[name] = time.monotonic() - started - waited
        target.close()

    def _encode(self) -> None:
        result = self._result
        scores = judged = 0.0
        for frame in self._channels[-1]:
            started = time.monotonic()
            self._writer.write(frame)
            result.busy["encode"] += time.monotonic() - started
            result.written += 1
            if frame.derained:
                result.derained += 1
            else:
                result.bypassed[frame.bypass or "unknown"] += 1
            if frame.rain is not None:
                scores, judged = scores + frame.rain, judged + 1
                result.rain = scores / judged
            if self._progress is not None:
                self._progress(result.written)
        started = time.monotonic()
        self._writer.finish()
        result.busy["encode"] += time.monotonic() - started
