"""Frames per second of this machine: each stage alone, then all three together."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from streamderain.frame import Frame
from streamderain.hardware import cpu_name
from streamderain.inference.backend import Backend
from streamderain.inference.create import create_backend
from streamderain.inference.derainer import Derainer
from streamderain.inference.gate import GateConfig
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.pipeline import Pipeline
from streamderain.readers.scene import SceneReader
from streamderain.readers.video import VideoFileReader
from streamderain.writers.video import VideoFileWriter

__all__ = ["BenchResult", "cpu_name", "run_bench"]


class BenchResult(BaseModel):
    """Frames a second, on H.264 video of the test scene in rain.

    Attributes:
        model, device, runtime: what ran, on what, and what ran it.
        width, height, batch: of the frames, and frames a run of the network.
        decode, infer, encode: each stage alone.
        together: all three overlapping, as ``clean`` runs them.
        slowest_share: ``together`` over the slowest stage alone; 1 would be perfect overlap with
            cores to spare.
        cpu, cores: of this machine.
        notes: what there is to know of the device, such as a GPU that could not be used.
    """

    model_config = ConfigDict(extra="forbid")
    model: str
    device: str
    runtime: str
    width: int
    height: int
    batch: int
    decode: float
    infer: float
    encode: float
    together: float
    slowest_share: float
    cpu: str
    cores: int
    notes: list[str] = Field(default_factory=list)


def run_bench(
    model: str,
    device: str,
    height: int,
    width: int,
    *,
    seconds: float,
    batch: int | None = None,
    backend: str = "auto",
) -> BenchResult:
    """Measure for about ``seconds`` a stage, after a warm-up.

    Raises:
        StreamderainError: the network can't run, or the scratch file can't be written.
    """
    with (
        create_backend(model, device, backend) as network,
        tempfile.TemporaryDirectory() as scratch,
    ):
        folder = Path(scratch)
        derainer = Derainer(network, batch=batch)
        size = derainer.batch_for(height, width)
        frames = _scene(height, width, count=max(8, 2 * size))
        infer = _measure_infer(derainer, frames, seconds)
        # As much video as the network cleans in that time, so that `together` takes about as long.
        count = int(max(2 * size, min(infer * seconds, 4000)))
        clip = folder / "clip.mp4"
        encode = _measure_encode(clip, frames, count)
        decode = _measure_decode(clip)
        together = _measure_together(clip, folder / "clean.mp4", network, size)
        return BenchResult(
            model=network.name, device=network.device, runtime=network.runtime,
            width=width, height=height, batch=size,
            decode=decode, infer=infer, encode=encode, together=together,
            slowest_share=together / min(decode, infer, encode),
            cpu=cpu_name(), cores=os.cpu_count() or 1, notes=list(network.notes),
        )  # fmt: skip


def _scene(height: int, width: int, count: int) -> list[Frame]:
    with SceneReader(height=height, width=width, seconds=count / 25) as reader:
        return list(reader)


def _rate(run: Callable[[], int]) -> float:
    started = time.perf_counter()
    frames = run()
    return frames / (time.perf_counter() - started)


def _measure_infer(derainer: Derainer, frames: list[Frame], seconds: float) -> float:
    def copies() -> Iterator[Frame]:
        for frame in itertools.cycle(frames):
            yield Frame("bench", 0, frame.index, frame.pts, frame.time_base, frame.pixels)

    list(itertools.islice(derainer.process(copies()), 2 * len(frames)))
    stop = time.perf_counter() + seconds

    def run() -> int:
        count = 0
        for _ in derainer.process(copies()):
            count += 1
            if time.perf_counter() > stop:
                break
        return count

    return _rate(run)


def _measure_encode(clip: Path, frames: list[Frame], count: int) -> float:
    with SceneReader(height=frames[0].size[0], width=frames[0].size[1], seconds=1) as reader:
        source = reader.format

    def run() -> int:
        writer = VideoFileWriter(clip, source, source=None)
        for index, frame in zip(range(count), itertools.cycle(frames), strict=False):
            frame.index = frame.pts = index
            writer.write(frame)
        writer.finish()
        return count

    return _rate(run)


def _measure_decode(clip: Path) -> float:
    def run() -> int:
        with VideoFileReader(clip) as reader:
            return sum(1 for _ in reader)

    return _rate(run)


def _measure_together(clip: Path, target: Path, backend: Backend, batch: int) -> float:
    with VideoFileReader(clip) as reader:
        writer = VideoFileWriter(target, reader.format, source=clip)
        derainer = Derainer(backend, batch=batch, gate=GateConfig(), lookahead=MAX_LOOKAHEAD)
        result = Pipeline(reader, derainer, writer, batch=batch).run()
    return result.written / result.seconds
