"""Actors of a Ray cluster that clean and scout, and what becomes of them: all that knows Ray."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from streamderain.cluster.cleaner import Answer, Cleaner, NetworkChoice, Order, Scout, ScoutOrder
from streamderain.cluster.placing import Introduction, Need
from streamderain.cluster.schedule import Work
from streamderain.segments.carrying import Carried

__all__ = ["Answered", "Came", "Event", "Looked", "Lost", "Unfit", "Worker", "Workers"]


@dataclass(eq=False)
class Worker:
    """An actor, or the wish for one that has no room yet.

    Attributes:
        said: how it introduced itself; None before.
        frames: of its segment that are done.
        order, work: what it is at.
    """

    actor: Any
    said: Introduction | None = None
    frames: int = 0
    order: Order | None = None
    work: Work | None = None
    asked: bool = field(default=False, repr=False)  # how far it is


@dataclass(frozen=True)
class Came:
    """A worker has opened its network."""

    worker: Worker
    said: Introduction


@dataclass(frozen=True)
class Unfit:
    """A worker couldn't open its network, or streamderain isn't there; it is gone."""

    reason: str


@dataclass(frozen=True)
class Answered:
    """A worker has done what it was told, or can't."""

    worker: Worker
    order: Order
    work: Work
    answer: Answer


@dataclass(frozen=True)
class Lost:
    """A worker has ended, or its node; another is on its way.

    Attributes:
        work: what it was at.
        blamed: its node is well, so that may be the fault of what it was at.
        reason: in a few words.
    """

    worker: Worker
    work: Work | None
    blamed: bool
    reason: str


@dataclass(frozen=True)
class Looked:
    """A scout has come to a segment; or, where there is none, to its end."""

    video: int
    number: int | None
    carried: Carried | None


Event = Came | Unfit | Answered | Lost | Looked


class Workers:
    """Starts actors, hands them work, and tells what came of it. One thread.

    A worker that ends is replaced by a new one, which Ray puts where there is room: on another
    node where its own is lost. Not Ray's own restarts, which would open another network, or end
    again and again, without anybody being told.

    Args:
        ray: connected.
        network: that each opens.
        need: of each.
    """

    def __init__(self, ray: ModuleType, network: NetworkChoice, need: Need) -> None:
        self._ray, self._network, self._need = ray, network, need
        # Meanwhile it is asked how far it is, by a second thread of the actor.
        options = {"num_cpus": need.cpus, "num_gpus": need.gpus, "max_concurrency": 2}
        self._cleaner = ray.remote(_Cleaner).options(**options)
        # A scout takes no more than the idle worker has that it is begun for.
        self._scout = ray.remote(num_cpus=0)(_Scout)
        self._pending: dict[Any, tuple[str, Any]] = {}
        self._scouts: dict[int, Any] = {}
        self.all: list[Worker] = []

    def start(self) -> None:
        """Ask for one more worker."""
        worker = Worker(self._cleaner.remote(self._network, int(self._need.cpus)))
        self.all.append(worker)
        self._pending[worker.actor.introduce.remote()] = ("introduce", worker)

    @property
    def idle(self) -> list[Worker]:
        """Those that are there and have nothing to do."""
        return [worker for worker in self.all if worker.said and worker.order is None]

    @property
    def there(self) -> int:
        """How many have introduced themselves."""
        return sum(worker.said is not None for worker in self.all)

    def give(self, worker: Worker, order: Order, work: Work) -> None:
        """Have a segment cleaned."""
        worker.order, worker.work, worker.frames = order, work, 0
        self._pending[worker.actor.clean.remote(order)] = ("clean", worker)

    def look(self, video: int, order: ScoutOrder, near: Worker) -> None:
        """Have a recording looked through, on the node of an idle worker."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        assert near.said is not None
        beside = NodeAffinitySchedulingStrategy(near.said.node_id, soft=True)
        scout = self._scout.options(scheduling_strategy=beside).remote(order)
        self._scouts[video] = scout
        self._pending[scout.next.remote()] = ("scout", video)

    def stop_looking(self, video: int) -> None:
        """End a scout; harmless where there is none."""
        scout = self._scouts.pop(video, None)
        if scout is not None:
            with suppress(Exception):
                self._ray.kill(scout)

    def dismiss(self, worker: Worker) -> None:
        """End a worker for good."""
        if worker in self.all:
            self.all.remove(worker)
        with suppress(Exception):
            self._ray.kill(worker.actor)

    def ask(self) -> None:
        """Ask those at work how far they are; what they answer is in their ``frames`` later."""
        for worker in self.all:
            if worker.order is not None and not worker.asked:
                worker.asked = True
                self._pending[worker.actor.frames.remote()] = ("frames", worker)

    def wait(self, timeout_s: float) -> Iterator[Event]:
        """Give what has happened, waiting for it for so long."""
        if not self._pending:
            time.sleep(timeout_s)  # videos are planned and joined meanwhile, by other threads
            return
        waiting = list(self._pending)
        done, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        if not done:
            done, _ = self._ray.wait(waiting, num_returns=1, timeout=timeout_s)
        for reference in done:
            what, about = self._pending.pop(reference)
            try:
                value = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                yield from self._failed(what, about, error)
                continue
            if what == "scout":
                yield self._looked(about, value)
            elif about in self.all:  # not dismissed meanwhile
                yield from self._heard(what, about, value)

    def close(self) -> None:
        """End all actors."""
        for worker in list(self.all):
            self.dismiss(worker)
        for video in list(self._scouts):
            self.stop_looking(video)
        self._pending.clear()

    def _heard(self, what: str, worker: Worker, value: Any) -> Iterator[Event]:
        if what == "frames":
            worker.asked, worker.frames = False, value if worker.order else 0
        elif what == "clean":
            yield self._answered(worker, value)
        elif "error" in value:
            self.dismiss(worker)
            yield Unfit(value["error"])
        else:
            worker.said = Introduction.model_validate(value)
            yield Came(worker, worker.said)

    def _answered(self, worker: Worker, answer: Answer) -> Answered:
        order, work = worker.order, worker.work
        assert order is not None
        assert work is not None
        worker.order = worker.work = None
        worker.frames = 0
        return Answered(worker, order, work, answer)

    def _looked(self, video: int, told: tuple[int, Carried] | None) -> Looked:
        if told is None:
            self.stop_looking(video)
            return Looked(video, None, None)
        if video in self._scouts:
            self._pending[self._scouts[video].next.remote()] = ("scout", video)
        return Looked(video, *told)

    def _failed(self, what: str, about: Any, error: Exception) -> Iterator[Event]:
        if what == "scout":
            self.stop_looking(about)
            yield Looked(about, None, None)
        elif what == "frames":
            about.asked = False  # of one that is lost, the order tells
        elif about in self.all:
            yield from self._lost(about, error)

    def _lost(self, worker: Worker, error: Exception) -> Iterator[Event]:
        """Tell why a worker doesn't answer, and ask for another where that may help."""
        told = isinstance(error, self._ray.exceptions.RayTaskError)
        work = worker.work
        self.dismiss(worker)
        if told and work is not None:  # it lives, and has met what it didn't expect
            yield self._answered(worker, Answer(error=_unexpected(error)))
            self.start()
            return
        if worker.said is None and "No module named 'streamderain" in str(error):
            yield Unfit(
                "streamderain isn't installed on every node of the cluster; install the same "
                "version there, with the same extras"
            )
            return
        # Ray says so of a process on a node that is well; of others it says that they can't be
        # reached, or that the node is gone.
        blamed = "its worker process has died" in str(error)
        if worker.said is None:  # whatever else went wrong would go wrong again
            gone = self._ray.exceptions.ActorUnavailableError
            blamed = not (isinstance(error, gone) or re.search(r"\bnode\b.* died", str(error)))
        yield Lost(worker, work, blamed, _short(error) if blamed else "its node is gone")


class _Cleaner(Cleaner):
    """A :class:`Cleaner` that asks Ray where it is."""

    def __init__(self, network: NetworkChoice, cores: int) -> None:
        super().__init__(network, *_where(), cores)


class _Scout(Scout):
    """A :class:`Scout` that asks Ray where it is."""

    def __init__(self, order: ScoutOrder) -> None:
        super().__init__(order, _where()[0])


def _where() -> tuple[str, str]:
    """Return address and Ray's name of the node that this actor is on."""
    import ray

    here = ray.get_runtime_context()
    return str(ray.util.get_node_ip_address()), here.get_node_id()  # type: ignore[no-untyped-call]


def _unexpected(error: Exception) -> str:
    last = str(error).strip().splitlines()[-1]
    return f"unexpected {last} on a worker; this is a defect of streamderain"


def _short(error: Exception) -> str:
    """Return what Ray says of a worker that has ended, without its ids and guesses."""
    low = "NODE_OUT_OF_MEMORY" in str(error)
    return "its node ran out of memory" if low else "its process ended"
