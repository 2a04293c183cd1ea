"""Keeps the cameras of a configuration running on workers, wherever those are. No Ray in here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from streamderain import __version__
from streamderain.cluster.book import Book, Place
from streamderain.cluster.liveplacing import configuration_of, groups
from streamderain.cluster.livereport import WorkerReport
from streamderain.cluster.livewatch import Act, Phase, Watch, WatchSettings
from streamderain.config import RunConfig
from streamderain.wire import AddressHeader
from streamderain.writers.zeromq import new_run

__all__ = ["Driver", "Gone", "Handle", "Workers"]

log = logging.getLogger("streamderain")

ASK_S = 0.5
"""How often each worker is asked."""

ROOM_S = 10.0
"""So long without a worker, and it is said what is waited for."""


class Gone(Exception):  # noqa: N818 - what became of a worker, not an error of ours
    """A worker died or can't be reached; as text why, where it isn't just that.

    Attributes:
        returns: it is known to have ended, and another process in its place is on its way.
        for_good: it has ended, and nothing comes in its place.
    """

    def __init__(self, reason: str = "", *, returns: bool = False, for_good: bool = False) -> None:
        super().__init__(reason)
        self.returns, self.for_good = returns, for_good


class Handle(Protocol):
    """A worker that was asked for. Nothing here waits."""

    def ask(self) -> None:
        """Ask for a report."""
        ...

    def report(self) -> WorkerReport | None:
        """Return what was asked for, once; None as long as there is no answer.

        Raises:
            Gone: there won't be one.
        """
        ...

    def start(self, config: RunConfig) -> None:
        """Tell it what to run."""
        ...

    def stop(self) -> None:
        """Let it write what is under way, and end its cameras."""
        ...

    def has_stopped(self) -> bool:
        """Whether it has done so, or can't any more."""
        ...

    def kill(self) -> None:
        """Make sure that it ends, now or as soon as it can be reached; harmless twice."""
        ...


class Workers(Protocol):
    """Where workers come from."""

    def create(self, avoid: str | None) -> Handle:
        """Ask for a worker.

        Args:
            avoid: the node that it must not be on, or None.
        """
        ...


@dataclass
class _Group:
    """Cameras that share a worker."""

    cameras: tuple[str, ...]
    watch: Watch
    handle: Handle
    report: WorkerReport | None = None
    is_asked: bool = False
    asked_at: float = float("-inf")
    waits_since: float | None = None
    was_placed: bool = False
    told: str | None = None
    """What was said of it last."""
    said: set[str] = field(default_factory=set)
    """Since its cameras ran, so that it is said once."""

    @property
    def names(self) -> str:
        return ", ".join(self.cameras)


class Driver:
    """Asks the workers, replaces those that are silent, keeps the book.

    Args:
        config: of all cameras.
        workers: where they come from.
        settings: times.
        clock: monotonic seconds.
        wall_ns: nanoseconds since 1970.
    """

    def __init__(
        self,
        config: RunConfig,
        workers: Workers,
        settings: WatchSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._config, self._workers, self._clock, self._wall = config, workers, clock, wall_ns
        self._book = Book(new_run(), config.cameras)
        self._settings = settings
        self._groups = [
            _Group(cameras, Watch(settings, clock()), workers.create(None))
            for cameras in groups(list(config.cameras), config.cluster.cameras_per_worker)
        ]

    @property
    def workers(self) -> int:
        """How many workers the cameras need."""
        return len(self._groups)

    @property
    def all_ended(self) -> bool:
        """Whether every camera has ended, as files do."""
        return all(
            group.report is not None
            and group.report.phase is Phase.RUNNING
            and all(brief.state == "ended" for brief in group.report.cameras.values())
            for group in self._groups
        )

    def step(self) -> list[AddressHeader]:
        """Do what is due, without waiting; return the entries of the book to publish."""
        for group in self._groups:
            self._tend(group, self._clock())
            self._note(group)
        return self._book.due(self._clock(), self._wall())

    def stop(self, timeout: float) -> list[AddressHeader]:
        """Stop all workers, and make sure that they end; return the book's last entries."""
        handles = [group.handle for group in self._groups]
        there = [group for group in self._groups if group.report is not None]
        for group in there:
            group.handle.stop()
        until = self._clock() + timeout
        waiting = [group.handle for group in there]
        while waiting and self._clock() < until:
            time.sleep(0.05)
            waiting = [handle for handle in waiting if not handle.has_stopped()]
        if waiting:
            log.warning("%d of %d workers could not be stopped in time", len(waiting), len(there))
        for group in there:
            if group.handle not in waiting:
                self._last_words(group)
        for handle in handles:
            handle.kill()
        for camera in self._config.cameras:
            self._book.put(camera, "ended", "streamderain has ended", None, self._wall())
        return self._book.due(self._clock(), self._wall())

    def _tend(self, group: _Group, now: float) -> None:
        if group.is_asked:
            self._hear(group, now)
        if not group.is_asked and now - group.asked_at >= ASK_S:
            group.handle.ask()
            group.is_asked, group.asked_at = True, now
        act = group.watch.act(now)
        if act is Act.START:
            group.handle.start(configuration_of(self._config, group.cameras))
        elif act is Act.REPLACE:
            self._replace(group)
        self._say_room(group, now)

    def _hear(self, group: _Group, now: float) -> None:
        try:
            report = group.handle.report()
        except Gone as gone:
            group.is_asked = False
            if reason := str(gone):
                self._say(group, f"a worker failed: {reason}")
            if gone.for_good:
                group.watch.lost(now)
            if gone.returns and group.watch.ended(now):
                if group.report is not None:
                    log.warning(
                        "%s: their worker on %s has ended; they move to another worker",
                        group.names, group.report.host,
                    )  # fmt: skip
                group.report = None
            return
        if report is None:
            return
        group.is_asked = False
        if report.version != __version__:
            self._say(
                group,
                f"{report.host} has streamderain {report.version}, here is {__version__}; install "
                "the same on all nodes",
            )
        group.watch.answered(report.worker, report.node, report.phase, now)
        self._log(report)
        before, group.report = group.report, report
        if report.phase is Phase.RUNNING and (before is None or before.run != report.run):
            group.was_placed, group.told = True, None
            group.said.clear()
            log.info("%s: on %s", group.names, report.host)
        elif report.phase is Phase.FAILED and report.problem:
            self._say(group, f"can't run on {report.host}: {report.problem}")

    def _replace(self, group: _Group) -> None:
        if group.report is not None:
            log.warning(
                "%s: no answer from %s for %g s; they move to another worker",
                group.names, group.report.host, self._settings.silence,
            )  # fmt: skip
        group.handle.kill()
        group.handle = self._workers.create(group.watch.avoid)
        group.report, group.is_asked, group.asked_at = None, False, float("-inf")

    def _say_room(self, group: _Group, now: float) -> None:
        """Say once that there is no room for a worker."""
        if group.report is not None:
            group.waits_since = None
            return
        if group.waits_since is None:
            group.waits_since = now
        if now - group.waits_since >= ROOM_S:
            self._say(group, f"waiting for a node: they start as soon as {self._wanted()}")

    def _wanted(self) -> str:
        cluster = self._config.cluster
        gpus = f" and {cluster.gpus:g} GPU" if cluster.gpus else ""
        return f"one has {cluster.cpus:g} CPU{gpus} free by Ray's count"

    def _note(self, group: _Group) -> None:
        """Bring the book up to date."""
        report = group.report
        for camera in group.cameras:
            brief = report.cameras.get(camera) if report is not None else None
            if report is not None and brief is not None and report.run is not None:
                place = Place(report.run, report.host, brief.addresses, brief.push)
                self._book.put(camera, brief.state, brief.message, place, self._wall())
            else:
                state, message = self._placeless(group)
                self._book.put(camera, state, message, None, self._wall())

    @staticmethod
    def _placeless(group: _Group) -> tuple[str, str | None]:
        report = group.report
        if report is not None and report.phase is Phase.FAILED:
            return "failed", report.problem
        if group.was_placed:
            return "moving", "its worker is lost; another one takes it over"
        return "waiting", group.told or "for a worker"

    def _last_words(self, group: _Group) -> None:
        """Log what a worker that has stopped still has to say."""
        group.handle.ask()
        until = self._clock() + 1.0
        while self._clock() < until:
            try:
                report = group.handle.report()
            except Gone:
                return
            if report is not None:
                self._log(report)
                return
            time.sleep(0.02)

    def _say(self, group: _Group, text: str) -> None:
        group.told = text
        if text not in group.said:
            group.said.add(text)
            log.warning("%s: %s", group.names, text)

    @staticmethod
    def _log(report: WorkerReport) -> None:
        for line in report.log:
            log.log(line.level, "%s", line.message, extra={**line.fields, "node": report.host})
