"""Many recordings cleaned on a Ray cluster: what ``streamderain clean --ray`` does."""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import streamderain
from streamderain.clean import CleanOptions, Progress, check_lookahead, report_refused
from streamderain.cluster.cleaner import NetworkChoice, Order, ScoutOrder
from streamderain.cluster.connecting import connected
from streamderain.cluster.placing import Introduction, Need, misfit, need_of, room
from streamderain.cluster.reaching import attempt_of
from streamderain.cluster.schedule import PATIENCE, Schedule
from streamderain.cluster.telling import Overview
from streamderain.cluster.video import Outcome, Planned, Video
from streamderain.cluster.workers import Answered, Came, Event, Looked, Lost, Unfit, Worker, Workers
from streamderain.errors import ClusterError, Interrupted, StreamderainError, UsageError
from streamderain.evidence import versions_here
from streamderain.jobs import Job, JobKind, Refused
from streamderain.models import is_file_name, resolve_model
from streamderain.report import CleanReport, JobReport
from streamderain.segments.carrying import Carried

__all__ = ["ClusterOptions", "Tells", "check_jobs", "clean_on_cluster"]

ROUND_S = 0.1
"""How long a round waits for something to happen; also how soon a planned video is begun."""

ASK_S = 0.5
"""How often workers are asked how far they are."""

WAIT_S = 15.0
"""After which the user is told that no worker has come yet."""


@dataclass(frozen=True)
class ClusterOptions:
    """Where, and how much of it.

    Attributes:
        address: as :func:`~streamderain.cluster.connecting.connected` takes it.
        workers: how many; None for as many as there is room for.
        cpus, gpus: of each; None to choose.
        connect: more for ``ray.init``.
    """

    address: str
    workers: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    connect: Mapping[str, Any] | None = None


class Tells(Protocol):
    """Is told how all of it goes on."""

    def tell(self, overview: Overview) -> None:
        """So far it is."""

    def note(self, sentence: str) -> None:
        """Something that the user should know."""


def check_jobs(jobs: Sequence[Job], options: CleanOptions) -> None:
    """Refuse what isn't done on a cluster.

    Raises:
        UsageError: there are pictures, pipes or samples.
    """
    if options.sample_s is not None:
        raise UsageError(
            "--sample takes a piece of a video, which needs no cluster; leave --ray out"
        )
    odd = next((job for job in jobs if job.kind is not JobKind.VIDEO or not job.targets), None)
    if odd is not None:
        raise UsageError(
            f"--ray cleans videos in files; {odd.name} isn't one, or its target isn't: clean that "
            "without --ray"
        )


def clean_on_cluster(
    jobs: Sequence[Job], refused: Sequence[Refused], network: NetworkChoice, options: CleanOptions,
    cluster: ClusterOptions, progress: Progress, tells: Tells,
) -> CleanReport:  # fmt: skip
    """Clean videos on a cluster; one that fails doesn't stop the rest.

    Frames come out as they do on one machine. Nodes may go at any time: what they were at is done
    again elsewhere.

    Args:
        jobs: videos in files, on storage that all nodes share.
        refused: what could not become jobs; reported first.
        network: that all workers open.
        options: how to clean.
        cluster: where.
        progress: is told of each video that is over.
        tells: is told how far all is.

    Raises:
        UsageError: the options don't go with a job or the network.
        ModelError: no network has that name, or its file here isn't the one of its card.
        ClusterError: there is no cluster, or nobody there can clean.
        Interrupted: the user stopped it; segments are kept.
        KeyboardInterrupt: the user stopped it before anything was kept.
    """
    check_jobs(jobs, options)
    if is_file_name(network.model):
        network = network.model_copy(update={"model": str(Path(network.model).absolute())})
    else:
        resolve_model(network.model)  # a name is known here or nowhere: workers are of this version
    with connected(cluster.address, **(cluster.connect or {})) as ray:
        nodes = ray.nodes()
        need = need_of(nodes, cluster.cpus, cluster.gpus, network.device)
        count = cluster.workers or room(nodes, ray.available_resources(), need)
        if network.device == "auto":  # Ray hides no GPU from those that have asked for none
            device = "cuda" if need.gpus else "cpu"
            network = network.model_copy(update={"device": device})
        reports = report_refused(refused, options, progress)
        with _Batch(ray, jobs, network, options, need, progress, tells) as batch:
            reports += batch.run(count)
        first = batch.first
    return CleanReport(
        version=streamderain.__version__, models=[first.model] if first else [], jobs=reports,
        exit_code=0 if all(report.ok for report in reports) else 1,
    )  # fmt: skip


class _Batch:
    """Joins schedule, workers and videos; one thread, which does no work of its own."""

    def __init__(
        self, ray: ModuleType, jobs: Sequence[Job], network: NetworkChoice,
        options: CleanOptions, need: Need, progress: Progress, tells: Tells,
    ) -> None:  # fmt: skip
        self.first: Introduction | None = None
        self._jobs, self._options, self._need = list(jobs), options, need
        self._progress, self._tells = progress, tells
        self._workers = Workers(ray, network, need)
        self._schedule = Schedule()
        self._here = versions_here()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._videos: dict[int, Video] = {}
        self._plans: dict[int, Planned] = {}
        self._known: dict[int, dict[int, Carried | None]] = {}
        self._failed: dict[int, StreamderainError] = {}
        self._reports: dict[int, JobReport] = {}
        self._frames = self._total = self._failures = 0
        self._misfits: list[str] = []
        self._began = self._asked = self._started = time.monotonic()
        self._token = secrets.randbits(60)

    def __enter__(self) -> _Batch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._workers.close()
        for video in self._videos.values():
            video.stop()
        kept = [video.kept for video in self._videos.values() if video.kept]
        if kept and kind is not None and issubclass(kind, KeyboardInterrupt):
            count, videos = sum(kept), len(kept)
            raise Interrupted(
                f"{count} segment{'s' * (count != 1)} of {videos} video{'s' * (videos != 1)} "
                f"{'is' if count == 1 else 'are'} kept, and --resume continues there"
            )

    def run(self, workers: int) -> list[JobReport]:
        """Do everything; return the reports in the order of the command line."""
        for _ in range(workers if self._jobs else 0):
            self._workers.start()
        while len(self._reports) < len(self._jobs):
            self._plan_ahead()
            self._hand_out()
            for event in self._workers.wait(ROUND_S):
                self._heard(event)
            self._take_outcomes()
            self._tell()
        return [self._reports[number] for number in range(len(self._jobs))]

    def _plan_ahead(self) -> None:
        """Look at as many videos as workers may soon need, and at one more."""
        if self.first is None:
            return
        ahead = len(self._videos) - len(self._plans) + self._schedule.ready
        begun = len(self._videos) + len(self._reports)
        while begun < len(self._jobs) and ahead <= len(self._workers.idle) + 1:
            video = Video(
                begun, self._jobs[begun], self._options, self.first, self._outcomes.put
            )  # fmt: skip
            self._videos[begun] = video
            video.plan()
            begun, ahead = begun + 1, ahead + 1

    def _hand_out(self) -> None:
        idle = self._workers.idle
        while idle and (work := self._schedule.next()):
            video, number = work
            plan = self._plans[video]
            self._token += 1
            segment = attempt_of(plan.segments[number], self._token)
            segment = segment.model_copy(update={"carried": self._known[video][number]})
            assert self.first is not None
            order = Order(segment=segment, identity=plan.source, model=self.first.identity)
            self._workers.give(idle.pop(0), order, work)
        if self._planning:
            return
        for video, (first, end) in self._schedule.scout(len(idle)).items():
            plan = self._plans[video]
            spans = tuple(segment.span for segment in plan.segments[first:end])
            segment = plan.segments[first]
            segment = segment.model_copy(update={"carried": self._known[video][first]})
            scout = ScoutOrder(
                segment=segment, identity=plan.source, spans=spans, gated=plan.gated,
                remembers=plan.remembers,
            )  # fmt: skip
            self._workers.look(video, scout, idle[0])

    @property
    def _planning(self) -> bool:
        """Whether there will soon be more to do without scouts."""
        return len(self._videos) > len(self._plans) or len(self._videos) + len(self._reports) < len(
            self._jobs
        )

    def _heard(self, event: Event) -> None:
        match event:
            case Came():
                self._came(event.worker, event.said)
            case Unfit():
                self._refuse(event.reason)
            case Answered():
                self._answered(event)
            case Lost():
                self._lost(event)
            case Looked():
                if event.number is None:
                    self._schedule.scouted(event.video)
                elif event.video in self._known:
                    self._known[event.video].setdefault(event.number, event.carried)
                    self._schedule.tell(event.video, event.number)

    def _came(self, worker: Worker, said: Introduction) -> None:
        self._failures = 0
        wrong = misfit(said, self._here, self.first)
        if wrong is not None:
            self._workers.dismiss(worker)
            self._refuse(wrong)
        elif self.first is None:
            check_lookahead(self._options, {said.model.name: said.inputs})
            self.first, self._started = said, time.monotonic()
            for note in said.model.notes:
                self._tells.note(note)

    def _refuse(self, reason: str) -> None:
        """Go on without a worker, as long as there are others."""
        if not self._workers.all:
            raise ClusterError(reason)
        if reason not in self._misfits:
            self._misfits.append(reason)
            self._tells.note(f"a worker takes no part: {reason}")

    def _answered(self, event: Answered) -> None:
        (video, number), answer = event.work, event.answer
        if answer.misfit is not None:
            self._schedule.lost(video, number, blamed=False)
            self._workers.dismiss(event.worker)
            self._refuse(answer.misfit)
        elif answer.result is not None:
            result = answer.result
            self._frames += result.frames
            self._schedule.done(video, number)
            if video in self._videos:
                self._known[video].setdefault(number + 1, result.carried)
                node = event.worker.said.node if event.worker.said else "?"
                self._videos[video].accept(event.order.segment.target, result, node)
        else:
            self._schedule.done(video, number)
            self._fail(video, StreamderainError(answer.error or "it failed without a reason"))
        self._end_if_over(video)

    def _lost(self, event: Lost) -> None:
        if event.work is None:
            self._failures += event.blamed and event.worker.said is None
            if self._failures >= PATIENCE:
                self._failures = 0
                self._refuse(
                    f"workers end before they have opened the network, {PATIENCE} in a row "
                    f"({event.reason}); see Ray's logs on the nodes, or try 'streamderain doctor' "
                    "there"
                )
                return
        else:
            video, number = event.work
            node = event.worker.said.node if event.worker.said else "?"
            self._tells.note(
                f"a worker on node {node} was lost ({event.reason}); segment {number} of "
                f"{self._jobs[video].name} is cleaned again"
            )
            again = self._schedule.lost(video, number, blamed=event.blamed)
            if not again:
                self._fail(
                    video,
                    StreamderainError(
                        f"segment {number} of {self._jobs[video].name} has ended {PATIENCE} "
                        f"workers ({event.reason}); try it where there is more memory, or see "
                        "Ray's logs"
                    ),
                )
            self._end_if_over(video)
        self._workers.start()

    def _fail(self, video: int, error: StreamderainError) -> None:
        self._failed.setdefault(video, error)
        self._schedule.stop(video)
        self._workers.stop_looking(video)

    def _end_if_over(self, video: int) -> None:
        """Join a video, or let go of it where it has failed, when nobody works on it any more."""
        if video not in self._plans or not self._schedule.is_over(video):
            return
        self._schedule.remove(video)
        self._workers.stop_looking(video)
        if video in self._failed:
            self._videos[video].fail(self._failed[video])
        else:
            self._videos[video].finish()

    def _take_outcomes(self) -> None:
        with suppress(queue.Empty):
            while True:
                outcome = self._outcomes.get_nowait()
                if outcome.error is not None:
                    raise outcome.error
                if outcome.planned is not None:
                    self._take_plan(outcome.video, outcome.planned)
                if outcome.report is not None:
                    self._over(outcome.video, outcome.report)

    def _take_plan(self, video: int, plan: Planned) -> None:
        self._plans[video] = plan
        self._known[video] = dict(plan.known)
        self._total += sum(plan.waiting.values())
        self._schedule.add(video, plan.waiting, plan.known)
        self._end_if_over(video)  # all was done before

    def _over(self, video: int, report: JobReport) -> None:
        self._schedule.stop(video)
        self._schedule.remove(video)
        self._workers.stop_looking(video)
        self._videos.pop(video)
        self._plans.pop(video, None)
        self._known.pop(video, None)
        self._reports[video] = report
        self._progress.end(report)

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._asked < ASK_S:
            return
        self._asked = now
        self._workers.ask()
        if self.first is None and now - self._began > WAIT_S:
            self._began = float("inf")
            self._tells.note(
                f"no worker of {self._need} has come yet: it is slow to begin, or the cluster has "
                "no room for it ('ray status' tells), and is waited for"
            )
        looked = len(self._plans) == len(self._videos)
        every = looked and len(self._videos) + len(self._reports) == len(self._jobs)
        self._tells.tell(
            Overview(
                videos=len(self._jobs), done=len(self._reports),
                frames=self._frames + sum(worker.frames for worker in self._workers.all),
                total=self._total if every else None, workers=self._workers.there,
                busy=self._workers.there - len(self._workers.idle), seconds=now - self._started,
            )
        )  # fmt: skip
