"""Workers as Ray's actors: Ray finds a node with room, and starts anew what dies."""

from __future__ import annotations

import contextlib
from types import ModuleType
from typing import Any

from streamderain.cluster.livedriver import Gone
from streamderain.cluster.livereport import WorkerReport
from streamderain.clusterconfig import ClusterConfig
from streamderain.config import RunConfig

__all__ = ["LiveActor", "RayWorkers"]

NODE_LABEL = "ray.io/node-id"
"""Every node has it from Ray, with its id."""


class LiveActor:
    """A worker as an actor: the same, where Ray starts it."""

    def __init__(self) -> None:
        import ray

        from streamderain.cluster.liveworker import LiveWorker

        self._worker = LiveWorker(
            ray.get_runtime_context().get_node_id(),
            ray.util.get_node_ip_address(),  # type: ignore[no-untyped-call]
        )

    def beat(self) -> WorkerReport:
        """See :meth:`~streamderain.cluster.liveworker.LiveWorker.beat`."""
        return self._worker.beat()

    def start(self, config: RunConfig) -> None:
        """See :meth:`~streamderain.cluster.liveworker.LiveWorker.start`."""
        self._worker.start(config)

    def stop(self) -> None:
        """See :meth:`~streamderain.cluster.liveworker.LiveWorker.stop`."""
        self._worker.stop()


class RayWorkers:
    """Asks Ray for workers.

    Args:
        ray: the module, connected.
        cluster: what each asks for.
    """

    def __init__(self, ray: ModuleType, cluster: ClusterConfig) -> None:
        self._ray, self._cluster = ray, cluster

    def create(self, avoid: str | None) -> RayHandle:
        """See :class:`~streamderain.cluster.livedriver.Workers`."""
        kind = self._ray.remote(LiveActor).options(
            num_cpus=self._cluster.cpus, num_gpus=self._cluster.gpus,
            # One that dies by itself is started anew, and runs nothing until it is told to. Calls
            # aren't repeated: what was asked of the one before is no question for the next.
            max_restarts=-1, max_task_retries=0,
            # A node that is lost should take few cameras with it.
            scheduling_strategy="SPREAD",
            label_selector=None if avoid is None else {NODE_LABEL: f"!{avoid}"},
        )  # fmt: skip
        return RayHandle(self._ray, kind.remote())


class RayHandle:
    """One actor; see :class:`~streamderain.cluster.livedriver.Handle`."""

    def __init__(self, ray: ModuleType, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._asked: Any = None
        self._told: Any = None
        self._stopping: Any = None

    def ask(self) -> None:
        """Ask for a report."""
        self._asked = self._actor.beat.remote()

    def report(self) -> WorkerReport | None:
        """Return the report, once it is there.

        Raises:
            Gone: there won't be one.
        """
        if self._told is not None and self._is_done(self._told):
            told, self._told = self._told, None
            self._get(told)
        if self._asked is None or not self._is_done(self._asked):
            return None
        asked, self._asked = self._asked, None
        found = self._get(asked)
        assert isinstance(found, WorkerReport)
        return found

    def start(self, config: RunConfig) -> None:
        """Tell it what to run."""
        self._told = self._actor.start.remote(config)

    def stop(self) -> None:
        """Let it write what is under way, and end its cameras."""
        self._stopping = self._actor.stop.remote()

    def has_stopped(self) -> bool:
        """Whether it has done so, or can't any more."""
        return self._stopping is None or self._is_done(self._stopping)

    def kill(self) -> None:
        """Make sure that it ends, and isn't started anew."""
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(self._actor, no_restart=True)

    def _is_done(self, asked: Any) -> bool:
        done, _ = self._ray.wait([asked], timeout=0)
        return bool(done)

    def _get(self, asked: Any) -> Any:
        """Return an answer that is there."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(asked)
        except errors.ActorUnavailableError as error:
            # Ray says so once it knows that the process or its node is gone. Before that, and of
            # a machine that just vanished, it only says that nobody could be reached.
            raise Gone(returns="The actor is restarting" in str(error)) from error
        except (errors.ActorDiedError, errors.ActorUnschedulableError) as error:
            raise Gone(_last_line(error), for_good=True) from error  # Ray starts it anew otherwise
        except errors.RayError as error:
            # Its own process may say why: no streamderain on that node, or another one.
            raise Gone(_last_line(error)) from error


def _last_line(error: Exception) -> str:
    """Return what is said last, which of a traceback is the error itself."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
