"""Cleaning one segment: a plain description in, a file and a plain account of it out.

Whoever has the source, the network and these words can do it, in any process on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from streamderain.errors import OutputError
from streamderain.frame import Frame, Step
from streamderain.framemap import FrameMap, MappedWriter, Run
from streamderain.inference.backend import PICTURE, Backend
from streamderain.inference.derainer import Derainer
from streamderain.inference.gate import GateConfig
from streamderain.inference.prior import Prior
from streamderain.pipeline import Pipeline
from streamderain.readers.span import SpanReader
from streamderain.segments.carrying import Carried, Carrier
from streamderain.segments.judging import Judge
from streamderain.segments.memory import Memory
from streamderain.segments.plan import Span
from streamderain.views import split
from streamderain.writers.base import Writer
from streamderain.writers.fanout import FanOutWriter
from streamderain.writers.segment import PieceWriter, read_piece

__all__ = ["Segment", "SegmentResult", "Settings", "clean_segment", "file_digest"]


class Settings(BaseModel):
    """How every segment of a recording is cleaned; fields as of the command ``clean``.

    Attributes:
        codec, crf, preset, batch, compare, always: see :class:`~streamderain.clean.CleanOptions`.
        lookahead: frames after each that a video network looks at, 0 to 4.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    codec: str = "h264"
    crf: int | None = None
    preset: str | None = None
    batch: int | None = None
    compare: bool = False
    always: bool = False
    lookahead: int = Field(default=4, ge=0, le=4)


class Segment(BaseModel):
    """One segment to clean.

    Attributes:
        source: path of the recording.
        target: path of the file to write, which ends in ``.nut``.
        whole: path or name of the video that the segment will be a part of; only its ending counts.
        span: which frames.
        settings: how.
        carried: what is known at ``span.start`` of all before; None where that is the beginning.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str
    target: str
    whole: str
    span: Span
    settings: Settings
    carried: Carried | None = None


class SegmentResult(BaseModel):
    """A segment that is cleaned and was verified.

    Attributes:
        number: of the segment.
        bytes, sha256: of the file.
        frames_in, frames: of the segment's own, decoded and written.
        map: of the frames written.
        corrupt: frames that the decoder reported as damaged.
        rain, judged: sum of the rain scores of the frames that have one, and how many do.
        encoder, batch, size: as in :class:`~streamderain.report.JobReport`.
        seconds, stages: wall time, and how long each stage was at work.
        notes: what was reduced or left out.
        carried: what the next segment must know.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    number: int
    bytes: int
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    frames_in: int
    frames: int
    map: list[Run]
    corrupt: int
    rain: float
    judged: int
    encoder: str
    batch: int
    size: tuple[int, int]
    seconds: float
    stages: dict[str, float]
    notes: list[str]
    carried: Carried


def clean_segment(
    segment: Segment,
    backend: Backend,
    progress: Callable[[int], None] | None = None,
) -> SegmentResult:
    """Clean a segment into its file, replacing one that is there, and verify that.

    Args:
        segment: what to do.
        backend: the network.
        progress: called from another thread with the count of the segment's frames so far.

    Raises:
        StreamderainError: it can't be done; there is no file then.
        KeyboardInterrupt: as it came; there is no file then.
    """
    settings, span, path = segment.settings, segment.span, Path(segment.target)
    with ExitStack() as stack:
        reader = stack.enter_context(
            SpanReader(
                Path(segment.source),
                seek=span.seek,
                first=span.prime,
                until=span.until,
                planes=True,
            )
        )
        source = reader.format
        target = PieceWriter(
            path, source, whole=Path(segment.whole), codec=settings.codec, crf=settings.crf,
            preset=settings.preset, overwrite=True, device=backend.device,
        )  # fmt: skip
        stack.callback(target.abandon)  # does nothing once the writer has finished
        writer: Writer = FanOutWriter([(target, split)]) if settings.compare else target
        mapped = MappedWriter(writer)
        memory = Memory(settings.lookahead) if backend.inputs != PICTURE else None
        before = segment.carried
        judge = None if settings.always else Judge(GateConfig(), before.gate if before else None)
        carrier = Carrier(judge, memory, span, before)
        derainer = _Remembering(backend, settings)
        processor = _Processor(derainer, carrier, memory, span)
        batch = derainer.batch_for(source.height, source.width)
        parameters = target.parameters
        result = Pipeline(reader, processor, mapped, batch=batch, progress=progress).run()
        size, digest = _verified(path, mapped.map, source.time_base, parameters, processor.own)
        return SegmentResult(
            number=span.number, bytes=size, sha256=digest, frames_in=processor.own,
            frames=result.written, map=mapped.map.runs, corrupt=processor.corrupt,
            rain=mapped.rain, judged=mapped.judged, encoder=target.encoder, batch=batch,
            size=(source.width, source.height), seconds=result.seconds, stages=result.busy,
            notes=list(dict.fromkeys([*source.notes, *writer.notes])), carried=carrier.carried,
        )  # fmt: skip


def _verified(
    path: Path, written: FrameMap, time_base: Fraction, parameters: bytes, frames: int
) -> tuple[int, str]:
    """Read the file that was written; return its size and SHA-256, or remove it."""
    shown = [time for time, _ in written.times()]
    try:
        piece = read_piece(path, shown, time_base)
        if (parameters and piece.parameters != parameters) or frames != len(shown):
            raise OutputError(f"the segment {path} isn't what was written; check its disk")
        return file_digest(path)
    except OutputError:
        path.unlink(missing_ok=True)
        raise


def file_digest(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes and its SHA-256 in hexadecimal.

    Raises:
        OutputError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{path} can't be read ({reason}); check the disk it is on") from error


class _Remembering(Derainer):
    """A derainer whose memory can be put down and taken up."""

    def __init__(self, backend: Backend, settings: Settings) -> None:
        super().__init__(backend, batch=settings.batch, keep_original=settings.compare)

    def note(self, given: Iterable[tuple[Frame, Prior | None]]) -> Iterator[Frame]:
        """Give frames, keeping their priors for when they are cleaned."""
        for frame, prior in given:
            if prior is not None:
                self._priors[id(frame)] = prior
            yield frame


class _Processor:
    """The inference stage of a segment: frames around it are looked at, but not given.

    Attributes:
        own: the segment's own frames that came in.
        corrupt: those of them that are damaged.
    """

    def __init__(
        self, derainer: _Remembering, carrier: Carrier, memory: Memory | None, span: Span
    ) -> None:
        self._derainer, self._carrier, self._memory, self._span = derainer, carrier, memory, span
        self.own = self.corrupt = 0

    @property
    def steps(self) -> Sequence[tuple[str, Step]]:
        return ("look", self._look), ("infer", self._clean)

    def _look(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in self._derainer.note(self._remembered(self._carrier.judged(frames))):
            if self._is_own(frame):
                self.own += 1
                self.corrupt += frame.corrupt
            else:
                frame.bypass = "context"  # passes the network by, and what is known of it goes
            yield frame

    def _remembered(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Prior | None]]:
        for frame in frames:
            self._carrier.note(frame)
            yield from self._memory.step(frame) if self._memory else [(frame, None)]
        yield from self._memory.rest() if self._memory else []

    def _clean(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        return (frame for frame in self._derainer.clean(frames) if self._is_own(frame))

    def _is_own(self, frame: Frame) -> bool:
        end = self._span.end
        return end is None or frame.pts is None or frame.pts < end
