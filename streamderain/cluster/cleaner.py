"""What runs on the nodes of a cluster: plain classes, which Ray makes actors of.

What they are given and give back are plain descriptions, so nothing here knows Ray.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from streamderain.cluster.cores import Cores
from streamderain.cluster.placing import Introduction
from streamderain.cluster.reaching import at_hand, source_at_hand
from streamderain.errors import StreamderainError
from streamderain.inference.backend import Backend
from streamderain.segments.carrying import Carried, carried_states
from streamderain.segments.manifest import ModelIdentity, SourceIdentity
from streamderain.segments.plan import Span
from streamderain.segments.work import Segment, SegmentResult, clean_segment
from streamderain.storage.copies import SourceCache

__all__ = ["Answer", "Cleaner", "NetworkChoice", "Order", "Scout", "ScoutOrder"]


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkChoice(_Plain):
    """Which network is opened how; as :func:`~streamderain.inference.create.create_backend`."""

    model: str
    device: str = "auto"
    backend: str = "auto"
    precision: str = "auto"


class Order(_Plain):
    """A segment to clean.

    Attributes:
        segment: with all it must know; its paths are those that all nodes share.
        identity: what the recording is known by.
        model: the network that it must be, running on this.
    """

    segment: Segment
    identity: SourceIdentity
    model: ModelIdentity


class Answer(_Plain):
    """What became of an order: one of the two.

    Attributes:
        result: it is done.
        error: it can't be done, in a sentence.
        misfit: this worker isn't the one it should be, in a sentence; another may do it.
    """

    result: SegmentResult | None = None
    error: str | None = None
    misfit: str | None = None


class Cleaner:
    """Keeps a network open and cleans segments, one at a time; asked meanwhile, says how far it is.

    Args:
        network: which.
        node: address of this machine.
        node_id: Ray's.
        cores: that it may use.
    """

    def __init__(self, network: NetworkChoice, node: str, node_id: str, cores: int) -> None:
        self._network, self._node, self._node_id = network, node, node_id
        self._cores = Cores(cores)
        self._cache = SourceCache()
        self._opened: Backend | None = None
        self._said: Introduction | None = None
        self._frames = 0

    def introduce(self) -> dict[str, Any]:
        """Open the network; return an :class:`Introduction`, or what is wrong as ``error``."""
        self._cores.use()
        try:
            return self._introduced().model_dump()
        except StreamderainError as error:
            return {"error": f"{error} (on node {self._node})", "node": self._node}

    def clean(self, order: Order) -> Answer:
        """Clean a segment."""
        self._cores.use()
        self._frames = 0
        try:
            found = self._introduced().identity
            if found != order.model:
                return Answer(
                    misfit=f"node {self._node} runs another model or another runtime than the job "
                    "was begun with"
                )
            assert self._opened is not None
            with at_hand(order.segment, order.identity, self._cache, self._node) as segment:
                result = clean_segment(segment, self._opened, self._note)
        except StreamderainError as error:
            return Answer(error=str(error))
        return Answer(result=result)

    def frames(self) -> int:
        """Return how many frames of the segment at work are done."""
        return self._frames

    def _note(self, frames: int) -> None:
        self._frames = frames

    def _introduced(self) -> Introduction:
        if self._said is None:
            from streamderain.clean import model_report
            from streamderain.evidence import versions_here
            from streamderain.hardware import leave_cores_to_stages
            from streamderain.inference.create import create_backend

            leave_cores_to_stages()
            choice = self._network
            self._opened = opened = create_backend(
                choice.model, choice.device, choice.backend, choice.precision
            )
            self._said = Introduction(
                node=self._node, node_id=self._node_id, versions=versions_here(),
                model=model_report(opened), inputs=opened.inputs,
            )  # fmt: skip
        return self._said


class ScoutOrder(_Plain):
    """A recording to look through.

    Attributes:
        segment: of its segments the first of ``spans``, with all it must know.
        identity: what the recording is known by.
        spans: that one, and those that are to be told of.
        gated, remembers: as :func:`~streamderain.segments.carrying.carried_states` takes them.
    """

    segment: Segment
    identity: SourceIdentity
    spans: tuple[Span, ...]
    gated: bool
    remembers: bool


class Scout:
    """Looks through a recording ahead of those that clean it.

    Args:
        order: what to look through.
        node: address of this machine.
    """

    def __init__(self, order: ScoutOrder, node: str) -> None:
        self._states = self._look(order, node)

    def next(self) -> tuple[int, Carried] | None:
        """Return the number of a segment and what it must know; None at the end.

        Also at an error: whoever cleans the recording will meet it too, and tell.
        """
        try:
            return next(self._states, None)
        except StreamderainError:
            return None

    def _look(self, order: ScoutOrder, node: str) -> Iterator[tuple[int, Carried]]:
        from streamderain.hardware import leave_cores_to_stages

        leave_cores_to_stages()
        segment = order.segment
        with (
            SourceCache() as cache,
            source_at_hand(segment.source, order.identity, cache, node) as path,
        ):
            yield from carried_states(
                path, order.spans, segment.settings.lookahead,
                gated=order.gated, remembers=order.remembers, carried=segment.carried,
            )  # fmt: skip
