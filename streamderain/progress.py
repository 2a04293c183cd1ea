"""How the work goes on, on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from streamderain.report import JobReport

__all__ = ["BarProgress", "LineProgress", "summary"]

LINE_EVERY_S = 5.0

DRY_SHARE = 0.9
"""From this share of dry frames up, people are told how to have them derained all the same."""


def counted(frames: int) -> str:
    """Return ``1 frame`` or ``2 frames``."""
    return f"{frames} frame{'s' * (frames != 1)}"


def pace(rate: float) -> str:
    """Return a rate in frames a second; below one, how long a frame takes."""
    return f"{rate:.1f} frames/s" if rate >= 1 or rate <= 0 else f"{1 / rate:.1f} s a frame"


def time_left(seconds: float) -> str:
    """Return how long it will take, as people say it: ``95 s left``, ``2 h 5 min left``."""
    if seconds < 120:
        return f"{seconds:.0f} s left"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min left"
    return f"{minutes // 60} h {minutes % 60} min left"


def summary(report: JobReport) -> list[str]:
    """Return what there is to say about a job that is over, a sentence a line."""
    lines = [f"note: {note}" for note in report.notes]
    if report.corrupt:
        frames = "1 frame was" if report.corrupt == 1 else f"{report.corrupt} frames were"
        lines.append(f"note: {frames} damaged in the source and passed through as decoded")
    lines += [f"note: {sentence}" for sentence in _hardly_any_rain(report)]
    lines += [f"error: {problem}" for problem in report.problems]
    if report.error is not None:
        lines.append(f"error: {report.error}")
    elif not report.skipped:
        dry = report.bypassed.get("dry", 0)
        lines.append(
            f"{report.output}: {counted(report.frames_out)}"
            + (f" of a sample of {report.sample_s:g} s" if report.sample_s is not None else "")
            + f", {report.derained} derained, "
            + (f"{dry} dry, " if dry else "")
            + pace(report.frames_per_second)
            + (", incomplete" if report.problems else "")
            + _before(report)
        )
    return lines


def _before(report: JobReport) -> str:
    """Say how much of a job that was continued had been done."""
    if not report.resumed:
        return ""
    of = f" of {report.segments}" if report.segments else ""
    return f"; {report.resumed}{of} segments were done before"


def _hardly_any_rain(report: JobReport) -> Iterator[str]:
    """Say so where the gauge took nearly all for dry: it may be wrong, or not what was wanted."""
    dry = report.bypassed.get("dry", 0)
    if not dry or dry < DRY_SHARE * (dry + report.derained):
        return
    where = report.input
    if report.sample_s is not None:
        where = f"the first {report.sample_s:g} s of {where}"
    if report.derained:
        yield (
            f"rain was found on only {counted(report.derained)} of {where}; the {dry} dry ones are "
            "as they came, --always derains them too"
        )
    else:
        yield (
            f"no rain was found in {where}; the frames are as they came, --always derains them "
            "all the same"
        )


class LineProgress:
    """One line every few seconds, for logs.

    Args:
        write: takes a line without its end.
        clock: seconds, monotonic.
    """

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write, self._clock = write, clock
        self._name, self._total = "", 0
        self._began = self._told = 0.0

    def start(self, name: str, frames: int | None) -> None:
        """Remember the job."""
        self._name, self._total = name, frames or 0
        self._began = self._told = self._clock()

    def update(self, frames: int) -> None:
        """Write a line where the last one is old enough."""
        now = self._clock()
        if now - self._told < LINE_EVERY_S:
            return
        self._told = now
        rate = frames / max(now - self._began, 1e-9)
        line = f"{self._name}: {counted(frames)}, {pace(rate)}"
        if self._total > frames:
            left = time_left((self._total - frames) / rate)
            line = f"{self._name}: {frames} of {self._total} frames, {pace(rate)}, {left}"
        self._write(line)

    def end(self, report: JobReport) -> None:
        """Write what there is to say about the job."""
        for line in summary(report):
            self._write(line)

    def close(self) -> None:
        """Do nothing: lines leave nothing on the screen."""


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} frames/s", style="cyan")


class BarProgress:
    """A bar a job, with frames/s and time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._lock = threading.Lock()

    def start(self, name: str, frames: int | None) -> None:
        """Draw the job's bar, in place of one that was drawn before its length was known."""
        self.close()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(),
            TextColumn("{task.completed}"), _Rate(), TimeRemainingColumn(compact=True),
            console=self._console, transient=True, speed_estimate_period=10,
        )  # fmt: skip
        self._task = self._progress.add_task(Path(name).name, total=frames)
        self._progress.start()

    def update(self, frames: int) -> None:
        """Move the bar."""
        with self._lock:
            if self._progress is not None and self._task is not None:
                self._progress.update(self._task, completed=frames)

    def end(self, report: JobReport) -> None:
        """Take the bar away and say what there is to say."""
        self.close()
        for line in summary(report):
            style = "red" if line.startswith("error:") else None
            self._console.print(line, style=style, highlight=False, soft_wrap=True, markup=False)

    def close(self) -> None:
        """Take the bar away, so that the terminal is whole again."""
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
            self._progress = None
