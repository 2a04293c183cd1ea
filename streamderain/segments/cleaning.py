"""A recording cleaned in segments, one after the other, in this process."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from streamderain.framemap import DERAINED, FrameMap
from streamderain.inference.backend import Backend
from streamderain.report import JobReport
from streamderain.segments.job import SegmentedJob
from streamderain.segments.manifest import StateFolder
from streamderain.segments.work import SegmentResult, Settings, clean_segment

__all__ = ["clean_in_segments", "fill_report"]


def clean_in_segments(
    source: Path, target: Path, backend: Backend, settings: Settings, report: JobReport, *,
    segment_s: float | None, resume: bool, overwrite: bool, folder: StateFolder | None = None,
    start: Callable[[int], None], update: Callable[[int], None],
) -> FrameMap:  # fmt: skip
    """Clean a recording; return which frame became which, and fill the report.

    Args:
        source, target, backend, settings, segment_s, resume, overwrite, folder: as
            :class:`~streamderain.segments.job.SegmentedJob` takes them.
        report: what happened is written here, also of a job that fails.
        start: is told once how many frames there are to clean.
        update: is told how many of these are done; called from another thread.

    Raises:
        StreamderainError: it failed; what is done of it is kept.
        Interrupted: the user stopped it; what is done of it is kept.
        KeyboardInterrupt: the user stopped it before anything was done; nothing is left behind.
    """
    began = time.monotonic()
    with SegmentedJob(
        source,
        target,
        backend,
        settings,
        segment_s=segment_s,
        resume=resume,
        overwrite=overwrite,
        folder=folder,
    ) as job:
        report.notes = list(job.notes)
        report.resumed = job.resumed
        report.segments = len(job.segments)
        todo = list(job.pending())
        start(sum(segment.span.frames for segment in todo) or job.format.frames or 0)
        cleaned = 0
        for segment in todo:
            result = clean_segment(job.carrying(segment), backend, partial(_add, update, cleaned))
            job.accept(result)
            cleaned += result.frames
        job.join()
        fill_report(report, job, cleaned, time.monotonic() - began)
        return job.map


def _add(update: Callable[[int], None], before: int, frames: int) -> None:
    update(before + frames)


def fill_report(report: JobReport, job: SegmentedJob, cleaned: int, seconds: float) -> None:
    """Write what came out of all segments into a report.

    Args:
        report: to fill.
        job: which is done.
        cleaned: frames that were cleaned this time, not before.
        seconds: how long that took.
    """
    results: list[SegmentResult] = [job.done[number] for number in sorted(job.done)]
    fates: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    for result in results:
        for run in result.map:
            fates[run.fate] += run.count
        stages.update(result.stages)
    judged = sum(result.judged for result in results)
    report.frames_in = sum(result.frames_in for result in results)
    report.frames_out = sum(result.frames for result in results)
    report.derained = fates.pop(DERAINED, 0)
    report.bypassed = dict(fates)
    report.corrupt = sum(result.corrupt for result in results)
    report.rain = round(sum(r.rain for r in results) / judged, 3) if judged else None
    report.size, report.encoder = results[0].size, results[0].encoder
    report.batch = results[0].batch
    report.seconds = round(seconds, 3)
    report.frames_per_second = round(cleaned / max(seconds, 1e-9), 2)
    report.stages = {name: round(busy, 3) for name, busy in stages.items()}
    told = [*report.notes, *(note for result in results for note in result.notes), *job.notes]
    report.notes = list(dict.fromkeys(told))
    report.problems = job.problems()
