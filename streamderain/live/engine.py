"""The network: the thread that runs it, and how another one takes its place meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from streamderain.channel import Cancelled
from streamderain.errors import ModelError, StreamderainError
from streamderain.frame import Picture, Planes, size_of
from streamderain.inference.backend import VIDEO, Backend, wants_rgb
from streamderain.inference.cost import CostModel
from streamderain.inference.graphs import usable_cores
from streamderain.inference.memory import Portions
from streamderain.inference.prior import Prior
from streamderain.inference.running import batch_for, derain_coded, portions_for, start_coded
from streamderain.inference.sharing import CameraBatcher
from streamderain.live.exchange import Exchange
from streamderain.live.lane import Ticket
from streamderain.live.reports import ModelReport
from streamderain.live.switchboard import Ahead
from streamderain.models import NULL, sha256_of

__all__ = ["Engine", "Needs", "Priors", "Run"]

log = logging.getLogger("streamderain")

SAY_AGAIN_S = 5.0
"""A network that failed says so again after this time."""

USUAL = 4
"""Numbers of frames a run, the most frequent so far, that another network is tried with."""

RELOAD_S = 5.0
"""How long :meth:`Engine.close` waits for a network that is just being loaded."""

LAST_RUN_S = 30.0
"""How long the last run of a network may take after another one took its place."""


@dataclass(frozen=True)
class Needs:
    """How a network wants its frames.

    Attributes:
        bypass: frames don't go into it at all, for this reason; or None.
        remembers: it wants to know what the last frames say of each.
        planes: it takes them as cameras code them.
    """

    bypass: str | None
    remembers: bool
    planes: bool = True


@dataclass(eq=False)
class _Loaded:
    """A network with what was learnt of it."""

    backend: Backend
    sha256: str | None
    batcher: CameraBatcher
    cost: CostModel
    since: float
    portions: Portions
    batches: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, eq=False)
class _Begun:
    """A batch that is under way, or will be run when it is waited for.

    Attributes:
        tickets: its frames.
        loaded: the network.
        started: when.
        finish: waits for what came out.
        ahead: it is under way, and the next one may begin.
    """

    tickets: Sequence[Ticket]
    loaded: _Loaded
    started: float
    finish: Callable[[], Sequence[Picture]]
    ahead: bool


@dataclass(frozen=True)
class Run:
    """A batch that went through the network.

    Attributes:
        frames: how many it had.
        error: why they came out as they came, or None.
    """

    frames: int
    error: Exception | None = None


class Priors:
    """Makes what the past says of a batch's frames, those of several at the same time."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="prior")

    def of(self, tickets: Sequence[Ticket]) -> list[Prior | None]:
        """Return the prior of each, None where nobody remembers."""
        if sum(ticket.prior is not None for ticket in tickets) < 2:
            return list(map(_prior_of, tickets))
        return list(self._pool.map(_prior_of, tickets))

    def __enter__(self) -> Priors:
        return self

    def __exit__(self, *reason: object) -> None:
        self._pool.shutdown()


def _prior_of(ticket: Ticket) -> Prior | None:
    return ticket.prior.use() if ticket.prior else None


class Engine:
    """Runs the network on batches of all cameras' frames.

    Args:
        backend: opened; stays the caller's, but is closed where another one takes its place.
        batch: frames a run, or None to choose by device and frame size.
        batch_wait: how long a frame may wait for others to fill its batch, in seconds.
        clock: monotonic seconds.
        wall: seconds since 1970.
        tell: is told of each run when its frames have gone on, and must not raise; without it,
            those that fail are logged.

    Raises:
        ModelError: the network's file can't be read.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        batch: int | None = None,
        batch_wait: float = 0.01,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        tell: Callable[[Run], None] | None = None,
    ) -> None:
        self._batch, self._wait = batch, batch_wait
        self._tell, self._failed_at = tell or self._log, float("-inf")
        self._clock, self._wall = clock, wall
        self._loaded = self._load(backend)
        self._changed = threading.Condition()
        self._running: list[_Loaded] = []
        self._free_since = float("-inf")
        self._reloading = threading.Lock()
        self._reloads = 0
        self._is_closed = False
        self._given = backend

    @property
    def batcher(self) -> CameraBatcher:
        """What chooses for the network that runs."""
        return self._loaded.batcher

    @property
    def needs(self) -> Needs:
        """How the network that runs wants its frames."""
        return _needs(self._loaded.backend)

    def run(self, exchange: Exchange) -> None:
        """Run batches until there are no more.

        Where the backend can, the next one begins before one is done, so that no core waits for
        the last frame of a batch, and what the past says of its frames is made meanwhile.
        """
        with Priors() as priors:
            ahead: _Begun | None = None
            while True:
                try:
                    tickets = exchange.work(None if ahead is None else self._left(ahead))
                except Cancelled:
                    if ahead is not None:
                        self._end(exchange, ahead)
                    return
                begun = self._begin(exchange, tickets, priors) if tickets else None
                if ahead is not None:
                    self._end(exchange, ahead)
                if begun is not None and not begun.ahead:
                    self._end(exchange, begun)
                    begun = None
                ahead = begun

    def _left(self, begun: _Begun) -> Ahead:
        """Return what is known of a batch that runs."""
        cost, tickets = begun.loaded.cost, begun.tickets
        takes = cost.expected(tickets[0].size, len(tickets))
        since = self._clock() - max(begun.started, self._free_since)
        return Ahead(max(0.0, takes - since), begun.loaded.backend.lanes)

    def _begin(
        self, exchange: Exchange, tickets: Sequence[Ticket], priors: Priors
    ) -> _Begun | None:
        """Begin with a batch; None where it goes on as it came."""
        loaded, started = self._take(), self._clock()
        backend, portions = loaded.backend, loaded.portions
        bypass = _needs(backend).bypass
        if bypass is not None:  # they were queued for the one before
            self._give_back(loaded)
            exchange.finish(tickets, None, backend.name, bypass)
            return None
        finish: Callable[[], Sequence[Picture]] | None
        try:
            pictures, known = [t.frame.picture for t in tickets], priors.of(tickets)
            # One that is larger would hold up the one ahead until all of it had begun.
            begins = len(tickets) <= backend.lanes
            finish = start_coded(backend, pictures, known, portions) if begins else None
            if finish is None:
                later = partial(derain_coded, backend, pictures, known, portions)
                return _Begun(tickets, loaded, started, later, ahead=False)
        except Exception as error:  # noqa: BLE001 - one run must not end them all
            return _Begun(tickets, loaded, started, partial(_fail, error), ahead=False)
        return _Begun(tickets, loaded, started, finish, ahead=True)

    def _end(self, exchange: Exchange, begun: _Begun) -> None:
        """Wait for a batch, and let its frames go on."""
        tickets, loaded = begun.tickets, begun.loaded
        derained: Sequence[Picture] | None = None
        failure: Exception | None = None
        try:
            derained = _kept(begun.finish())
            # Not what it waited for another one.
            seconds = self._clock() - max(begun.started, self._free_since)
            loaded.cost.observe(tickets[0].size, len(tickets), seconds)
            loaded.batches[len(tickets)] += 1
        except Exception as error:  # noqa: BLE001
            failure = error
        finally:
            self._free_since = self._clock()
            self._give_back(loaded)
        exchange.finish(tickets, derained, loaded.backend.name)
        self._tell(Run(len(tickets), failure))

    def reload(
        self,
        open_backend: Callable[[], Backend],
        exchange: Exchange,
        pictures: Iterable[Picture] = (),
        announce: Callable[[Needs], None] = lambda needs: None,
    ) -> None:
        """Let another network take over between two batches, and close the old one.

        It is opened and tried first, while the old one goes on; where that fails, nothing changes.

        Args:
            open_backend: opens the new one.
            exchange: whose frames it runs.
            pictures: such as it will get; it is tried with empty ones like these.
            announce: is told how the new one wants its frames, as soon as it has taken over.

        Raises:
            ModelError: it can't be had or doesn't run, another reload is under way, or
                :meth:`close` came first.
            UsageError: the configuration asks of it what can't be.
        """
        if not self._reloading.acquire(blocking=False):
            raise ModelError("another model is just being loaded; try again when it is there")
        try:
            backend = open_backend()
            try:
                self._try(backend, pictures)
                loaded = self._load(backend)
            except StreamderainError:
                backend.close()
                raise
            except Exception as error:
                backend.close()
                raise ModelError(f"the model {backend.name} does not run: {error}") from error
            self._take_over(loaded, exchange, announce)
        finally:
            self._reloading.release()

    def report(self) -> ModelReport:
        """Return what there is to say of the network that runs."""
        loaded = self._loaded
        batches = dict(sorted(loaded.batches.copy().items()))
        backend = loaded.backend
        return ModelReport(
            name=backend.name, device=backend.device, runtime=backend.runtime,
            sha256=loaded.sha256, batches=batches, runs=sum(batches.values()),
            loaded=loaded.since, reloads=self._reloads,
        )  # fmt: skip

    def close(self) -> None:
        """Close the network that runs, unless it is the caller's; after :meth:`run` has ended.

        One that is just being loaded is waited for, not for long; it is closed when it is there.
        """
        held = self._reloading.acquire(timeout=RELOAD_S)
        try:
            with self._changed:
                self._is_closed, loaded = True, self._loaded
            if loaded.backend is not self._given:
                loaded.backend.close()
        finally:
            if held:
                self._reloading.release()

    def _take_over(
        self, loaded: _Loaded, exchange: Exchange, announce: Callable[[Needs], None]
    ) -> None:
        with self._changed:
            if self._is_closed:
                loaded.backend.close()
                raise ModelError("streamderain is stopping; no other model is loaded any more")
            old, self._loaded = self._loaded, loaded
            self._reloads += 1
        exchange.use(loaded.batcher)
        announce(self.needs)
        for note in loaded.backend.notes:
            log.warning("%s", note)
        with self._changed:
            over = self._changed.wait_for(lambda: old not in self._running, LAST_RUN_S)
        if over:
            old.backend.close()
        else:
            log.error("%s hangs in its last run and is left to itself", old.backend.name)

    def _try(self, backend: Backend, pictures: Iterable[Picture]) -> None:
        """Run what will probably be run first, so that nothing is left to prepare then.

        Twice each: OpenVINO compiles for a shape that comes again.
        """
        usual = [count for count, _ in self._loaded.batches.copy().most_common(USUAL)]
        kinds = {(size_of(picture), isinstance(picture, Planes)): picture for picture in pictures}
        for _, picture in sorted(kinds.items(), key=lambda kind: kind[0]):
            empty = _emptied(picture)
            most = self._limit(backend, *size_of(empty))
            for count in sorted({1, *(min(most, count) for count in usual)}):
                for _ in range(2):
                    derain_coded(backend, [empty] * count)

    def _take(self) -> _Loaded:
        """Return the network to run now; it isn't closed before it is given back."""
        with self._changed:
            self._running.append(self._loaded)
            return self._loaded

    def _give_back(self, loaded: _Loaded) -> None:
        with self._changed:
            self._running.remove(loaded)
            self._changed.notify_all()

    def _log(self, run: Run) -> None:
        if run.error is not None and self._clock() - self._failed_at > SAY_AGAIN_S:
            self._failed_at = self._clock()
            log.error("%s; the frames pass as they came", run.error)

    def _load(self, backend: Backend) -> _Loaded:
        cost = CostModel()

        batcher = CameraBatcher(partial(self._limit, backend), self._wait, cost)
        return _Loaded(
            backend, sha256_of(backend.model), batcher, cost, self._wall(), portions_for(backend)
        )

    def _limit(self, backend: Backend, height: int, width: int) -> int:
        return self._batch or batch_for(backend, height, width)


def _kept(derained: Sequence[Picture]) -> Sequence[Picture]:
    """Return pictures of which one that is shown for long doesn't hold all others of its batch."""
    if len(derained) == 1:
        return derained
    return [picture if isinstance(picture, Planes) else picture.copy() for picture in derained]


def _fail(error: Exception) -> Sequence[Picture]:
    raise error


def _emptied(picture: Picture) -> Picture:
    if isinstance(picture, Planes):
        return replace(picture, samples=np.zeros_like(picture.samples))
    return np.zeros_like(picture)


def _needs(backend: Backend) -> Needs:
    bypass = NULL if backend.name == NULL else None
    return Needs(bypass, backend.inputs == VIDEO, not wants_rgb(backend))
