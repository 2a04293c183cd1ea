"""A video of a batch: planned, joined and told of in a thread of its own, so that nothing waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamderain.clean import (
    CleanOptions,
    add_evidence,
    colour_report,
    settings_of,
)
from streamderain.cluster.placing import Introduction
from streamderain.cluster.reaching import take_up
from streamderain.errors import Interrupted, StreamderainError
from streamderain.inference.backend import PICTURE
from streamderain.jobs import Job
from streamderain.report import JobReport
from streamderain.segments.carrying import Carried
from streamderain.segments.cleaning import fill_report
from streamderain.segments.job import LONG_S, SegmentedJob
from streamderain.segments.manifest import SourceIdentity
from streamderain.segments.work import Segment, SegmentResult
from streamderain.storage.address import RemotePath
from streamderain.storage.staging import StagedJob, is_there, staged
from streamderain.streams import made_folders

__all__ = ["Outcome", "Planned", "Video"]


@dataclass(frozen=True)
class Planned:
    """What there is to do for a video.

    Attributes:
        source: what it is known by.
        segments: all of them, with the places that every node knows.
        waiting: frames of those that are to be cleaned, by number.
        known: what segments must know, by number, of those of which that is known.
        gated, remembers: whether a segment must know of the rain before, and of the frames.
    """

    source: SourceIdentity
    segments: tuple[Segment, ...]
    waiting: dict[int, int]
    known: dict[int, Carried | None]
    gated: bool
    remembers: bool


@dataclass(frozen=True)
class Outcome:
    """What a video's thread has done.

    Attributes:
        video: its number.
        planned: it can begin.
        report: it is over.
        error: what ended it that isn't in its report.
    """

    video: int
    planned: Planned | None = None
    report: JobReport | None = None
    error: BaseException | None = None


@dataclass
class Video:
    """One recording and its target.

    Everything is done in order by one thread; what it did is given to ``tell``, which any thread
    may call.

    Attributes:
        number: in the order of the command line.
        job, options: what to do, and how.
        first: the worker whose network and versions are those of all.
        tell: takes what was done.
        kept: segments that are kept of a video that was stopped.
    """

    number: int
    job: Job
    options: CleanOptions
    first: Introduction
    tell: Callable[[Outcome], None]
    kept: int = 0
    _began: float = field(default_factory=time.monotonic)
    _cleaned: int = 0

    def __post_init__(self) -> None:
        self.report = JobReport(
            input=self.job.name, output=self.job.target_name, model=self.first.model.name
        )
        self._thread = ThreadPoolExecutor(1, f"video-{self.number}")
        self._outer, self._inner = ExitStack(), ExitStack()
        self._files: StagedJob | None = None
        self._work: SegmentedJob | None = None
        self._closed = threading.Event()

    def plan(self) -> None:
        """Look at the recording, take its target, and tell what there is to do."""
        self._submit(self._guarded, self._plan)

    def accept(self, written: str, result: SegmentResult, node: str) -> None:
        """Take up a segment that a node has cleaned and written there."""
        self._submit(self._guarded, self._accept, written, result, node)

    def finish(self) -> None:
        """Join the segments, and tell."""
        self._submit(self._guarded, self._finish)

    def fail(self, error: StreamderainError) -> None:
        """Keep what is done, and tell."""
        self._submit(self._guarded, self._raise, error)

    def stop(self) -> None:
        """Keep what is done, since the user wants to stop; returns when that is so."""
        self._submit(self._end, KeyboardInterrupt())
        self._thread.shutdown()

    def _submit(self, *work: Any) -> None:
        with suppress(RuntimeError):  # its thread has ended: it is over
            self._thread.submit(*work)

    def _plan(self) -> None:
        job, options = self.job, self.options
        if options.resume and is_there(job):
            self.report.skipped = True
            self.report.notes.append(
                f"{job.target_name} is there already and left as it is; --overwrite makes it anew."
            )
            self._over()
            return
        self._files = files = self._outer.enter_context(
            staged(job, overwrite=options.overwrite, resume=options.resume)
        )
        if job.into_folder:
            self._inner.enter_context(made_folders(path.parent for path in files.targets))
        settings = settings_of(job, options)
        work = SegmentedJob(
            files.sources[0], files.targets[0], self.first.identity, settings,
            segment_s=self._segment_s(files), resume=options.resume, overwrite=options.overwrite,
            folder=files.state,
        )  # fmt: skip
        self._work = self._inner.enter_context(work)
        self.report.notes, self.report.resumed = list(work.notes), work.resumed
        self.report.segments, self.report.colour = len(work.segments), colour_report(work.format)
        waiting = {s.span.number: s.span.frames for s in work.pending()}
        gated, remembers = not settings.always, self.first.inputs != PICTURE
        known: dict[int, Carried | None] = {0: None}
        known |= {number + 1: result.carried for number, result in work.done.items()}
        if not (gated or remembers):
            known |= {number: Carried() for number in waiting if number}
        if len(waiting) == 1 and not next(iter(waiting.values())):
            waiting = dict.fromkeys(waiting, work.format.frames or 0)
        planned = Planned(
            source=work.source, segments=tuple(map(self._elsewhere, work.segments)),
            waiting=waiting, known=known, gated=gated, remembers=remembers,
        )  # fmt: skip
        self.tell(Outcome(self.number, planned=planned))

    def _segment_s(self, files: StagedJob) -> float | None:
        """Cut what is cut on one machine, so that the result is the same."""
        options = self.options
        if options.segment_s is not None or options.resume or files.folder.begun:
            return options.segment_s
        from streamderain.readers.video import VideoFileReader

        with VideoFileReader(files.sources[0]) as reader:
            long = (reader.format.duration_s or 0) >= LONG_S
        return None if long else 10 * LONG_S

    def _elsewhere(self, segment: Segment) -> Segment:
        assert self._files is not None
        segment = self._files.elsewhere(segment)
        places = {}
        if not isinstance(self.job.sources[0], RemotePath):
            places["source"] = str(Path(segment.source).absolute())
        if self._files.state is None:
            places["target"] = str(Path(segment.target).absolute())
        return segment.model_copy(update=places)

    def _accept(self, written: str, result: SegmentResult, node: str) -> None:
        assert self._work is not None
        assert self._files is not None
        take_up(written, self._files.folder.piece(result.number), node)
        self._work.accept(result)
        self._cleaned += result.frames

    def _finish(self) -> None:
        work, files = self._work, self._files
        assert work is not None
        assert files is not None
        work.join()
        fill_report(self.report, work, self._cleaned, time.monotonic() - self._began)
        frames = work.map
        self._inner.close()
        if self.options.evidence:
            add_evidence(
                files, self.first.model, self.options, self.report, frames, self.first.versions
            )
        files.deliver()
        self._over()

    def _guarded(self, work: Callable[..., None], *arguments: object) -> None:
        """Do something, unless it is over; whatever goes wrong ends this video alone."""
        if self._closed.is_set():
            return
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody else to tell
            self._end(error)

    def _raise(self, error: StreamderainError) -> None:
        raise error

    def _end(self, error: BaseException) -> None:
        """Let go of everything, keeping what is done."""
        if self._closed.is_set():
            return
        if self._work is not None and self._files is not None:
            self.kept = len(self._work.done)
            with suppress(StreamderainError):
                self._files.folder.clear(leftovers=True)  # of workers that were ended
        try:
            with self._outer, self._inner:
                raise error
        except StreamderainError as told:
            error = told
        except BaseException as told:  # noqa: BLE001 - it is told
            error = told
        if isinstance(error, StreamderainError) and error.exit_code == 1:
            self.report.error = str(error)
            self._over()
        elif not isinstance(error, (Interrupted, KeyboardInterrupt)):
            self._closed.set()
            self.tell(Outcome(self.number, error=error))
        else:
            self._closed.set()

    def _over(self) -> None:
        self._outer.close()
        self._closed.set()
        report, files = self.report, self._files
        if files is not None:
            report.notes = [files.told(note) for note in report.notes]
            report.problems = [files.told(problem) for problem in report.problems]
        report.ok = report.error is None and not report.problems
        self._thread.shutdown(wait=False)
        self.tell(Outcome(self.number, report=report))
