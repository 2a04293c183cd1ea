"""How a batch on a cluster goes on: one account of all its videos, on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.status import Status

from streamderain.progress import LINE_EVERY_S, counted, pace, summary, time_left
from streamderain.report import JobReport

__all__ = ["Overview", "Teller", "teller"]


@dataclass(frozen=True)
class Overview:
    """How far all is.

    Attributes:
        videos, done: how many there are, and how many of them are over.
        frames: cleaned in this run, those of unfinished segments as well.
        total: of frames to be cleaned, or None while some videos haven't been looked at.
        workers, busy: how many there are, and how many of them clean.
        seconds: since the first worker came.
    """

    videos: int
    done: int
    frames: int
    total: int | None
    workers: int
    busy: int
    seconds: float

    def __str__(self) -> str:
        videos = f"{self.done} of {self.videos} video{'s' * (self.videos != 1)}"
        if not (self.workers or self.frames):
            return f"{videos}, waiting for a worker"
        rate = self.frames / max(self.seconds, 1e-9)
        frames = counted(self.frames)
        left = ""
        if self.total is not None and self.total >= self.frames:
            frames = f"{self.frames} of {self.total} frames"
            left = f", {time_left((self.total - self.frames) / rate)}" if rate > 0 else ""
        return (
            f"{videos}, {frames}, {pace(rate)}{left}, {self.busy} of {self.workers} "
            f"worker{'s' * (self.workers != 1)} busy"
        )


class Teller:
    """Shows the account: one that changes on a terminal, a line every few seconds elsewhere.

    Args:
        console: where.
        clock: seconds, monotonic.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._told = clock()
        self._status: Status | None = None

    def tell(self, overview: Overview) -> None:
        """Show how far all is."""
        if self._console.is_terminal:
            if self._status is None:
                self._status = self._console.status("", spinner="line")
                self._status.start()
            self._status.update(str(overview))
        elif self._clock() - self._told >= LINE_EVERY_S:
            self._told = self._clock()
            self._say(str(overview))

    def note(self, sentence: str) -> None:
        """Say what there is to know."""
        self._say(f"note: {sentence}")

    def start(self, name: str, frames: int | None) -> None:
        """Do nothing: a video is a part of the account."""

    def update(self, frames: int) -> None:
        """Do nothing: so are its frames."""

    def end(self, report: JobReport) -> None:
        """Say what there is to say about a video."""
        for line in summary(report):
            self._say(line, "red" if line.startswith("error:") else None)

    def close(self) -> None:
        """Take the account away, so that the terminal is whole again."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _say(self, line: str, style: str | None = None) -> None:
        self._console.print(line, style=style, highlight=False, soft_wrap=True, markup=False)


def teller() -> Teller:
    """Return one on standard error."""
    return Teller(Console(stderr=True))
