"""How much of a cluster a worker takes, how many have room, and which will do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from streamderain.errors import ClusterError
from streamderain.report import ModelReport
from streamderain.segments.manifest import ModelIdentity

__all__ = ["SAME", "Introduction", "Need", "misfit", "need_of", "room"]

CPUS, GPU_SHARE = 2.0, 0.25
"""What a worker takes unless told; a share of a GPU only where it is to use one."""

SAME = ("streamderain", "av", "ffmpeg", "numpy", "opencv-python-headless")
"""Versions that must be the same everywhere, for every frame to be."""


@dataclass(frozen=True)
class Need:
    """What a worker takes of its node.

    Attributes:
        cpus: cores.
        gpus: of GPUs, a fraction where several share one.
    """

    cpus: float
    gpus: float = 0.0

    def __str__(self) -> str:
        cores = f"{self.cpus:g} CPU{'s' * (self.cpus != 1)}"
        return f"{cores} and {self.gpus:g} GPU{'s' * (self.gpus != 1)}" if self.gpus else cores

    def fits(self, resources: Mapping[str, float]) -> int:
        """Return how many times it fits into a node, or a cluster as if it were one."""
        counts = [resources.get("CPU", 0) / self.cpus] if self.cpus else []
        counts += [resources.get("GPU", 0) / self.gpus] if self.gpus else []
        return int(min(counts, default=1) + 1e-6)


class Introduction(BaseModel):
    """What a worker says of itself.

    Attributes:
        node: address of its machine.
        node_id: Ray's.
        versions: of what takes part, by name.
        model: the network that it has opened.
        inputs: channels that this takes.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    node: str
    node_id: str
    versions: dict[str, str]
    model: ModelReport
    inputs: int

    @property
    def identity(self) -> ModelIdentity:
        """Which network runs on what."""
        return ModelIdentity(**self.model.model_dump(exclude={"notes"}))


def need_of(
    nodes: Sequence[Mapping[str, Any]], cpus: float | None, gpus: float | None, device: str
) -> Need:
    """Return what a worker takes.

    Args:
        nodes: of the cluster, as ``ray.nodes()`` has them.
        cpus, gpus: as asked for; None for 2 CPUs, or what there is, and, where the device is
            ``cuda``, a quarter of a GPU.
        device: as asked for.
    """
    if cpus is None:
        largest = max((node["Resources"].get("CPU", 0) for node in _alive(nodes)), default=0)
        cpus = min(CPUS, largest) or CPUS
    if gpus is None:
        gpus = GPU_SHARE if device == "cuda" else 0.0
    return Need(cpus, gpus)


def room(nodes: Sequence[Mapping[str, Any]], available: Mapping[str, float], need: Need) -> int:
    """Return for how many workers a cluster has room now, at least one.

    Args:
        nodes: as ``ray.nodes()`` has them.
        available: what nobody has taken, of all nodes together.
        need: of one worker.

    Raises:
        ClusterError: no node is large enough for one.
    """
    most = sum(need.fits(node["Resources"]) for node in _alive(nodes))
    if not most:
        largest = max(_alive(nodes), key=lambda node: node["Resources"].get("CPU", 0), default=None)
        has = Need(largest["Resources"].get("CPU", 0), largest["Resources"].get("GPU", 0)) if (
            largest) else "nothing"  # fmt: skip
        raise ClusterError(
            f"no node of the cluster has {need} for a worker, the largest has {has}; ask for less "
            "with --ray-cpus and --ray-gpus"
        )
    return max(1, min(most, need.fits(available)))


def misfit(worker: Introduction, here: Mapping[str, str], first: Introduction | None) -> str | None:
    """Return why a worker can't take part, so that all frames come out alike; None where it can.

    Args:
        worker: of whom.
        here: versions on the machine that plans and joins.
        first: the worker that came first, or None for that itself.
    """
    for name in SAME:
        ours, theirs = here.get(name), worker.versions.get(name)
        if ours != theirs:
            return (
                f"node {worker.node} has {name} {theirs or 'not at all'}, and this machine "
                f"{ours or 'not at all'}; install the same on all nodes"
            )
    if first is None or first.identity == worker.identity:
        return None
    said, others = worker.identity, first.identity
    if said.files != others.files:
        what = f"another file of the model {said.name} than node {first.node}"
        mend = "give all the same file, or say --precision where some compute in 8 bits"
    else:
        what = f"{said.runtime} on {said.device} for the model, and node {first.node} "
        what += f"{others.runtime} on {others.device}"
        mend = "install the same on all nodes, or say --backend and --device"
    return f"node {worker.node} has {what}; {mend}"


def _alive(nodes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [node for node in nodes if node["Alive"]]
