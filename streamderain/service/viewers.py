"""What all viewers share: the encoded pictures, the reports, and how many there are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from streamderain.live.control import Control
from streamderain.service.shapes import LiveReport, camera_view, model_view
from streamderain.service.shots import Shots

__all__ = ["STUCK_S", "VIEWERS_MOST", "Tally", "Viewers"]

log = logging.getLogger("streamderain")

VIEWERS_MOST = 100
"""So many may watch at the same time."""

STUCK_S = 10.0
"""A viewer that takes nothing for so long is hung up on."""

REPORT_S = 1.0
"""How often the cameras are reported,"""

LOOK_S = 0.05
"""and how often it is looked whether something changed that has to be told at once."""


@dataclass
class Tally:
    """Counts of the viewers, for the metrics.

    Attributes:
        watching: viewers there are.
        sent: pictures that were sent to them.
        skipped: frames that were passed over because a viewer wanted fewer or was slow.
        stuck: viewers that were hung up on because they took nothing.
    """

    watching: int = 0
    sent: int = 0
    skipped: int = 0
    stuck: int = 0


class Viewers:
    """Shared by all viewers; for the event loop's thread alone.

    While nobody watches, it does nothing.

    Args:
        control: of what runs.
        shots: the encoded pictures.

    Attributes:
        control, shots: as given.
        tally: counts.
        report: the newest report, as JSON.
        reports: its number, from 1; 0 before the first.
        closing: set when the service ends.
    """

    def __init__(self, control: Control, shots: Shots) -> None:
        self.control, self.shots = control, shots
        self.tally = Tally()
        self.report = ""
        self.reports = 0
        self.closing = asyncio.Event()
        self._readers: set[asyncio.Event] = set()
        self._come = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether no more may watch."""
        return self.tally.watching >= VIEWERS_MOST or self.closing.is_set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count a viewer as long as it is there."""
        self.tally.watching += 1
        try:
            yield
        finally:
            self.tally.watching -= 1

    def hung_up(self, client: str, watched: str) -> None:
        """Note that a viewer was hung up on, as it took nothing; by us or by the system."""
        self.tally.stuck += 1
        log.debug("a viewer at %s took nothing of %s and was hung up on", client, watched)

    @contextmanager
    def reading(self, wake: asyncio.Event) -> Iterator[None]:
        """Set an event at every new report."""
        self._readers.add(wake)
        self._come.set()
        try:
            yield
        finally:
            self._readers.discard(wake)

    async def keep_reporting(self) -> None:
        """Make a report once a second and at every change, while somebody reads them."""
        changes, made_at = -1, float("-inf")
        while not self.closing.is_set():
            if not self._readers:
                self._come.clear()
                await self._come.wait()
            now = time.monotonic()
            newest = self.control.changes()
            if newest != changes or now - made_at >= REPORT_S:
                changes, made_at = newest, now
                try:
                    self._make_report()
                except Exception:  # one that fails must not end them all
                    log.exception("the cameras can't be reported")
            await asyncio.sleep(LOOK_S)

    def close(self) -> None:
        """Let all viewers go."""
        self.closing.set()
        self._come.set()
        for wake in self._readers:
            wake.set()
        self.shots.close()

    def _make_report(self) -> None:
        report = LiveReport(
            cameras=[camera_view(one) for one in self.control.cameras()],
            model=model_view(self.control.model()),
        )
        self.report = report.model_dump_json()
        self.reports += 1
        for wake in self._readers:
            wake.set()
