"""Whole clips through the pipeline, from file to file, as ``clean`` does it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamderain.bench.figures import Sample, ratio_of
from streamderain.bench.footage import Footage
from streamderain.bench.measuring import take_turns
from streamderain.bench.results import Dry
from streamderain.closing import ClosesAtExit
from streamderain.frame import Frame, SourceFormat, Step
from streamderain.inference.backend import Backend
from streamderain.inference.derainer import Derainer
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import DRY
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.pipeline import FrameProcessor, Pipeline
from streamderain.readers.base import Reader
from streamderain.readers.video import VideoFileReader
from streamderain.writers.video import VideoFileWriter

__all__ = ["Passage", "derainer_for", "measure_dry", "pass_through"]

DRY_ROUNDS = 3
"""Pairs of a dry clip with and without all that looks at it."""


@dataclass(frozen=True)
class Passage:
    """A clip that went through.

    Attributes:
        sample: its calls are frames on their way from the decoder into the file.
        derained: frames that the network cleaned.
        dry: frames that passed because it didn't rain.
    """

    sample: Sample
    derained: int
    dry: int


class _Noting(ClosesAtExit):
    """Notes when its reader gives each frame (:class:`~streamderain.readers.base.Reader`)."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.given_at: list[float] = []

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def format(self) -> SourceFormat:
        return self._reader.format

    @property
    def problems(self) -> list[str]:
        return self._reader.problems

    @property
    def corrupt_frames(self) -> int:
        return self._reader.corrupt_frames

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._reader:
            self.given_at.append(time.perf_counter())
            yield frame

    def close(self) -> None:
        self._reader.close()


class _AsTheyCome:
    """Stands where the network stands and does nothing."""

    @property
    def steps(self) -> Sequence[tuple[str, Step]]:
        """One, as the network has."""
        return (("infer", iter),)


def derainer_for(backend: Backend, batch: int, gate: GateConfig) -> Derainer:
    """Return what stands between reader and writer of a video that ``clean`` cleans."""
    return Derainer(backend, batch=batch, gate=gate, lookahead=MAX_LOOKAHEAD)


def pass_through(
    clip: Path, target: Path, processor: FrameProcessor, batch: int, device: str
) -> Passage:
    """Decode a clip, let it through, encode it, all at once.

    Raises:
        StreamderainError: what the first failing stage said.
    """
    written_at: list[float] = []
    with VideoFileReader(clip, planes=True) as opened:
        reader = _Noting(opened)
        writer = VideoFileWriter(target, reader.format, source=clip, overwrite=True, device=device)
        pipeline = Pipeline(
            reader, processor, writer, batch=batch,
            progress=lambda _: written_at.append(time.perf_counter()),
        )  # fmt: skip
        worked, began = time.process_time(), time.perf_counter()
        try:
            result = pipeline.run()
        finally:
            writer.abandon()
        wall, cpu = time.perf_counter() - began, time.process_time() - worked
    ways = [out - came for came, out in zip(reader.given_at, written_at, strict=True)]
    return Passage(Sample(result.written, wall, cpu, ways), result.derained, result.bypassed[DRY])


def measure_dry(backend: Backend, footage: Footage, folder: Path, batch: int, frames: int) -> Dry:
    """Measure what a clip without rain costs more than decoding and encoding it.

    Args:
        backend: what runs the network, if it gets to see anything.
        footage: without rain.
        folder: for files.
        batch: frames a run of the network.
        frames: of the clip.

    Raises:
        StreamderainError: what the first failing stage said.
    """
    clip = footage.write(folder / "dry.mp4", frames)
    target = folder / "dry.clean.mp4"

    def plain() -> Passage:
        return pass_through(clip, target, _AsTheyCome(), batch, backend.device)

    def looked_at() -> Passage:
        derainer = derainer_for(backend, batch, GateConfig())
        return pass_through(clip, target, derainer, batch, backend.device)

    bare, watched = take_turns([plain, looked_at], DRY_ROUNDS)
    of_all = sum(passage.sample.frames for passage in watched)
    return Dry(
        frames_per_second=of_all / sum(passage.sample.wall_s for passage in watched),
        dry=sum(passage.dry for passage in watched) / of_all,
        ratio=ratio_of([p.sample.wall_s for p in bare], [p.sample.wall_s for p in watched]),
        cpu_ratio=ratio_of([p.sample.cpu_s for p in bare], [p.sample.cpu_s for p in watched]),
    )
