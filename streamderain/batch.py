"""What a batch leaves: a line of JSON a video for programs, a page of Markdown for people."""

from __future__ import annotations

import datetime
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import streamderain
from streamderain.errors import OutputError
from streamderain.report import JobReport
from streamderain.writers.atomic import AtomicFile, explain_os_error

if TYPE_CHECKING:
    from streamderain.clean import Progress

__all__ = ["RecordedProgress", "check_summary", "summary_of", "write_summary"]

TITLE = "# What streamderain cleaned"
"""The first line of a summary, by which it is known again."""


class RecordedProgress:
    """Writes the report of each job as a line of JSON; a progress itself, around another one.

    Each line stands for itself, is appended, and is on the disk before the next job begins.

    Args:
        inner: is told everything.
        path: of the JSON lines, or None to write none.

    Attributes:
        reports: of all jobs so far.

    Raises:
        OutputError: the file can't be written.
    """

    def __init__(self, inner: Progress, path: Path | None) -> None:
        self._inner, self._path = inner, path
        self.reports: list[JobReport] = []
        if path is not None:
            self._append(path, "")

    def start(self, name: str, frames: int | None) -> None:
        """Pass it on."""
        self._inner.start(name, frames)

    def update(self, frames: int) -> None:
        """Pass it on."""
        self._inner.update(frames)

    def end(self, report: JobReport) -> None:
        """Pass it on, and write the line."""
        self._inner.end(report)
        self.reports.append(report)
        if self._path is not None:
            line = {"time": _now(), "version": streamderain.__version__}
            self._append(self._path, json.dumps(line | report.model_dump()) + "\n")

    def _append(self, path: Path, text: str) -> None:
        try:
            with path.open("a", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise explain_os_error(error, path) from error


def check_summary(path: Path) -> None:
    """Refuse to replace a file that is no summary.

    Raises:
        OutputError: there is one, or the folder is missing.
    """
    if not path.parent.is_dir():
        raise explain_os_error(FileNotFoundError(2, ""), path)
    if not path.exists():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = file.readline().rstrip("\n") == TITLE
    except OSError as error:
        raise explain_os_error(error, path) from error
    if not ours:
        raise OutputError(f"{path} is there and is no summary of ours; name another file")


def write_summary(path: Path, reports: Sequence[JobReport], seconds: float | None = None) -> None:
    """Write the summary of a batch, in place of an earlier one.

    Args:
        path: of the file.
        reports: of all jobs.
        seconds: that all took together; None for the sum, of jobs one after the other.

    Raises:
        OutputError: the disk is full, or the like.
    """
    file = AtomicFile(path, overwrite=True)
    try:
        file.path.write_text(summary_of(reports, _now(), seconds), encoding="utf-8")
    except OSError as error:
        file.discard()
        raise explain_os_error(error, path) from error
    file.commit()


def summary_of(reports: Sequence[JobReport], time: str, seconds: float | None = None) -> str:
    """Return a batch in Markdown: the sums, a table, and what there is to say.

    Args:
        reports: of all jobs.
        time: when it was finished.
        seconds: that all took together; None for the sum, of jobs one after the other.
    """
    done = sum(report.ok for report in reports)
    frames = sum(report.frames_out for report in reports)
    if seconds is None:
        seconds = sum(report.seconds for report in reports)
    fates: Counter[str] = Counter(derained=sum(report.derained for report in reports))
    for report in reports:
        fates.update(report.bypassed)
    shares = ", ".join(
        f"{name} {count:,} ({100 * count / max(frames, 1):.1f} %)"
        for name, count in fates.items()
        if count
    )
    lines = [
        TITLE,
        "",
        f"{done} of {len(reports)} done, {frames:,} frames in {_duration(seconds)}"
        + (f": {shares}" if shares else "")
        + f". Finished {time} by streamderain {streamderain.__version__}.",
        "",
        "| source | result | frames | derained | dry | rain | time | state |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
        *map(_row, reports),
    ]
    told = [(report, line) for report in reports for line in _sentences(report)]
    if told:
        lines += ["", "## To be looked at", ""]
        lines += [f"- {_cell(_named(report, line))}" for report, line in told]
    return "\n".join(lines) + "\n"


def _row(report: JobReport) -> str:
    rain = "" if report.rain is None else f"{report.rain:.2f}"
    cells = (
        _cell(report.input), _cell(report.output) if report.error is None else "",
        f"{report.frames_out:,}", f"{report.derained:,}", f"{report.bypassed.get('dry', 0):,}",
        rain, _duration(report.seconds), _state(report),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _state(report: JobReport) -> str:
    if report.error is not None:
        return "failed"
    if report.problems:
        return "incomplete"
    if report.skipped:
        return "was there"
    return f"done, {report.resumed} of {report.segments} before" if report.resumed else "done"


def _sentences(report: JobReport) -> list[str]:
    return [*report.problems, *([report.error] if report.error is not None else [])]


def _named(report: JobReport, line: str) -> str:
    """Return a sentence that names its source; most do so already."""
    return line if report.input in line else f"{report.input}: {line}"


def _cell(text: str) -> str:
    """Return a text that breaks no table, whatever a file is called."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
