"""A recording cleaned in segments: begun, continued after whatever stopped it, joined.

Usage, here one segment after the other (another way to spread them may do the middle)::

    with SegmentedJob(source, target, backend, settings, segment_s=180, resume=True) as job:
        for segment in job.pending():
            job.accept(clean_segment(job.carrying(segment), backend))
        job.join()
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

from streamderain.errors import Interrupted, OutputError, StreamderainError
from streamderain.frame import SourceFormat
from streamderain.framemap import FrameMap
from streamderain.inference.backend import Backend, planes_sha256_of
from streamderain.media.scanning import Scan, scan
from streamderain.models import sha256_of
from streamderain.readers.video import VideoFileReader, damage
from streamderain.segments.manifest import (
    Manifest,
    ModelIdentity,
    SourceIdentity,
    StateFolder,
    differences,
    identify_source,
    write_json,
)
from streamderain.segments.plan import plan
from streamderain.segments.work import Segment, SegmentResult, Settings
from streamderain.writers.encoders import choose_container
from streamderain.writers.segment import JoiningWriter, read_piece

__all__ = ["LONG_S", "SEGMENT_S", "SegmentedJob", "model_identity"]

SEGMENT_S = 180.0
"""Length of a segment unless told."""

LONG_S = 600.0
"""From this length on a recording is cleaned in segments without being told to."""


def model_identity(backend: Backend | ModelIdentity) -> ModelIdentity:
    """Return which network runs on what."""
    if isinstance(backend, ModelIdentity):
        return backend
    return ModelIdentity(
        name=backend.name, sha256=sha256_of(backend.model), device=backend.device,
        runtime=backend.runtime, planes_sha256=planes_sha256_of(backend),
    )  # fmt: skip


class SegmentedJob:
    """One recording and its target, with what is done of it in a folder beside the target.

    Args:
        source, target: the recording and the video that is to be.
        backend: the network, or, where that is on other machines, which it is.
        settings: how to clean.
        segment_s: length of a segment in seconds; None for that of the job that is continued, or
            :data:`SEGMENT_S`.
        resume: continue an unfinished job.
        overwrite: replace a target that exists; without ``resume`` also begin an unfinished job
            anew.
        folder: what is done of it; None for the one beside the target.

    Attributes:
        format: of the source.
        done: accounts of the segments that are done, by number.
        resumed: how many of them were done before.
        notes: sentences for the user.

    Raises:
        OutputError: the target can't be written, another process writes it, or an unfinished job
            can't be continued.
        InputError, UsageError: as the reader and the writer raise them.
    """

    def __init__(
        self, source: Path, target: Path, backend: Backend | ModelIdentity, settings: Settings, *,
        segment_s: float | None = None, resume: bool = False, overwrite: bool = False,
        folder: StateFolder | None = None,
    ) -> None:  # fmt: skip
        self._source, self._target, self._backend = source, target, backend
        self._settings, self._overwrite = settings, overwrite
        self.done: dict[int, SegmentResult] = {}
        self.resumed = 0
        self.notes: list[str] = []
        self._scan: Scan | None = None
        self._joined = False
        with VideoFileReader(source) as reader:
            self.format: SourceFormat = reader.format
        self._folder = folder or StateFolder(target)
        self._folder.lock()
        try:
            self._manifest = self._begin(segment_s, resume=resume)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        kept = self._close()
        if kept and isinstance(error, KeyboardInterrupt):
            raise Interrupted(kept) from error
        if kept and isinstance(error, StreamderainError):
            error.args = (f"{error}; {kept}",)

    @property
    def source(self) -> SourceIdentity:
        """What the recording is known by."""
        return self._manifest.source

    @property
    def segments(self) -> list[Segment]:
        """All segments; what they carry is still missing in them."""
        return [
            Segment(
                source=str(self._source), target=str(self._folder.piece(span.number)),
                whole=str(self._target), span=span, settings=self._settings,
            )
            for span in self._manifest.spans
        ]  # fmt: skip

    def pending(self) -> Iterator[Segment]:
        """Give the segments that aren't done."""
        for segment in self.segments:
            if segment.span.number not in self.done:
                yield segment

    def carrying(self, segment: Segment) -> Segment:
        """Return a segment with what it must know of the one before, which must be done."""
        before = self.done.get(segment.span.number - 1)
        return segment.model_copy(update={"carried": before.carried if before else None})

    def accept(self, result: SegmentResult) -> None:
        """Note that a segment is done.

        Raises:
            OutputError: its file isn't here as the account says, or the disk is full.
        """
        number = result.number
        written = write_json(self._folder.account(number), result)
        trusted = self._folder.trusted(number, written)
        if trusted is None:
            raise OutputError(
                f"the segment {self._folder.piece(number)} isn't what was written; check its disk"
            )
        self._manifest.done[number] = written
        self.done[number] = trusted  # also for who interrupts while the manifest is written
        try:
            self._folder.save(self._manifest)
        except StreamderainError:
            del self.done[number]
            raise

    def join(self) -> None:
        """Make the target of all segments, and remove the folder.

        Raises:
            OutputError: a segment can't be read, the disk is full, or the like; the segments stay.
        """
        if self._joined:
            return
        results = [self.done[span.number] for span in self._manifest.spans]
        durations: dict[int, int] = {}
        pieces = []
        for result in results:
            times = list(FrameMap(result.map).times())
            durations.update({time: length for time, length in times if length})
            shown = [time for time, _ in times]
            path = self._folder.piece(result.number)
            pieces.append(read_piece(path, shown, self.format.time_base))
        writer = self._writer()
        try:
            self._manifest.joining = writer.inode
            self._folder.save(self._manifest)
            writer.join(pieces, durations)
            writer.finish()
            self._folder.deliver()
        finally:
            writer.abandon()
            self.notes += writer.notes
        self._joined = True

    @property
    def map(self) -> FrameMap:
        """Of all frames that are done."""
        return FrameMap(run for number in sorted(self.done) for run in self.done[number].map)

    def problems(self) -> list[str]:
        """Return what is wrong with the source, a sentence each."""
        found = self._scan or scan(self._source)
        missing = found.declared > found.packets
        if not (found.cut_short or found.read_errors or missing):
            return []
        frames = sum(result.frames for result in self.done.values())
        return [damage(self._source, frames, self.format.frames, cut_short=found.cut_short)]

    def _begin(self, segment_s: float | None, *, resume: bool) -> Manifest:
        found = None
        if resume or not self._overwrite:
            found = self._folder.load()
        if found is not None and not resume:
            raise OutputError(
                f"{self._folder.path} holds an unfinished job ({_count(found)} done); continue it "
                "with --resume, or start over with --overwrite"
            )
        now = Manifest(
            source=identify_source(self._source), model=model_identity(self._backend),
            settings=self._settings, output=self._target.name,
            segment_s=segment_s or (found.segment_s if found else SEGMENT_S),
            spans=found.spans if found else plan((), (), 1),
        )  # fmt: skip
        if found is None:
            self._writer().abandon()  # opens whatever can fail before hours of work
            self._folder.clear()
            self._cut(now)
            self._folder.save(now)
            return now
        differs = differences(found, now)
        if differs is None and found.segment_s != now.segment_s:
            differs = f"it was begun with segments of {found.segment_s:g} s, not {now.segment_s:g}"
        if differs is not None:
            raise OutputError(
                f"{self._folder.path} can't be continued: {differs}; do as then, or start over "
                "with --overwrite without --resume"
            )
        self._take_up(found)
        if self._is_target(found.joining):  # killed before it could tidy up
            self._joined = len(self.done) == len(found.spans)
        if not self._joined:
            self._writer().abandon()
        return found

    def _is_target(self, inode: int | None) -> bool:
        return inode is not None and self._target.exists() and self._target.stat().st_ino == inode

    def _cut(self, manifest: Manifest) -> None:
        self._scan = found = scan(self._source)
        length = Fraction(manifest.segment_s) / found.time_base
        times, keys = found.times, found.keys
        if not choose_container(self._target, self._settings.codec).variable_rate:
            times = keys = ()  # frames on a grid of their own
        manifest.spans = plan(times, keys, float(length))
        whole = found.packets * (self.format.frame_rate or 25) ** -1
        if len(manifest.spans) == 1 and whole > 2 * manifest.segment_s:
            self.notes.append(
                f"{self._source} can't be cut at its key frames, so it is cleaned in one piece; "
                "what is done is lost if it is stopped."
            )

    def _take_up(self, manifest: Manifest) -> None:
        """Find out what is done of an unfinished job, and tidy up after who was killed."""
        self._folder.clear(leftovers=True)
        for number, account in sorted(manifest.done.items()):
            trusted = self._folder.trusted(number, account)
            if trusted is not None:
                self.done[number] = trusted
            else:
                self.notes.append(
                    f"The segment {self._folder.piece(number)} is damaged or missing; it is "
                    "cleaned again."
                )
        manifest.done = {number: manifest.done[number] for number in self.done}
        self.resumed = len(self.done)

    def _writer(self) -> JoiningWriter:
        return JoiningWriter(
            self._target, self.format, self._folder.path, source=self._source,
            codec=self._settings.codec, crf=self._settings.crf,
            preset=self._settings.preset, overwrite=self._overwrite,
            device=self._backend.device,
        )  # fmt: skip

    def _close(self) -> str | None:
        """Leave the folder, or remove it where it holds nothing of worth; say what is kept."""
        manifest = getattr(self, "_manifest", None)
        worthless = self._folder.is_empty if manifest is None else self._joined or not self.done
        if worthless:
            self._folder.remove()
            return None
        self._folder.unlock()
        if manifest is None:
            return None
        return f"{_count(manifest)} are kept, and --resume continues there"


def _count(manifest: Manifest) -> str:
    done, all_ = len(manifest.done), len(manifest.spans)
    return f"{done} of {all_} segment{'s' * (all_ != 1)}"
