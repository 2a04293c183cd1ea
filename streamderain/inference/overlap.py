"""Uploading, computing and downloading at the same time, on a GPU with PyTorch.

A batch goes through in chunks, two of them under way: while the GPU computes one, the next is
copied into pinned memory and up, and the one before comes down, each on a stream of its own. The
next batch may begin before one is done. What a shape needs is kept: pinned memory, memory of the
GPU, and a CUDA graph of the whole network, which needs no compiler on the machine and one call in
the place of two hundred.

All that CUDA itself does is in :class:`CudaTools`; :class:`CpuTools` is the same on the CPU, so
that the order of things can be tested without a GPU. The caller has ``torch.inference_mode()`` on.
"""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from streamderain.inference.backend import PICTURE, Frames
from streamderain.inference.buckets import LARGEST, Bucket, ShapeBook, fill, split_into_buckets
from streamderain.inference.graphs import one_line
from streamderain.inference.memory import is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["CpuTools", "CudaTools", "OverlappedRunner", "chunk_frames"]

log = logging.getLogger("streamderain")

CHUNK_PIXELS = 2_100_000
"""One frame of 1080p: enough to keep a GPU busy, and two overlap already. Not measured."""

SHAPES_KEPT = 4
"""Shapes whose memory is kept though no graph was recorded of them."""

Call = Callable[["Tensor"], "Tensor"]
"""The network: uint8 N×H×W×C in, N×H×W×3 out, on the device."""


def chunk_frames(height: int, width: int) -> int:
    """Return how many frames of a size a chunk has at most: 1, 2, 4 … 16."""
    frames = max(1, min(LARGEST, CHUNK_PIXELS // (height * width)))
    return 1 << (frames.bit_length() - 1)


class Tools(Protocol):
    """What a device has to offer."""

    def host(self, shape: tuple[int, ...]) -> Tensor:
        """Return memory of the host that the device can copy from by itself, uint8."""
        ...

    def device(self, shape: tuple[int, ...]) -> Tensor:
        """Return memory of the device, uint8."""
        ...

    def on(self, queue: int) -> AbstractContextManager[Any]:
        """Let what is asked for inside go to a queue: 0 uploads, 1 computes, 2 downloads."""
        ...

    def mark(self, queue: int) -> Any:
        """Return a mark behind what a queue was asked for so far."""
        ...

    def after(self, queue: int, mark: Any) -> None:
        """Let a queue go on only when a mark has been reached."""
        ...

    def wait(self, mark: Any) -> None:
        """Wait here until a mark has been reached."""
        ...

    def record(self, call: Call, given: Tensor) -> tuple[Callable[[], None], Tensor]:
        """Record a call; return what replays it, and where its result then is."""
        ...

    def release(self) -> None:
        """Wait for everything, and give back what isn't used."""
        ...


class CudaTools:
    """The first GPU.

    Args:
        torch: the module.
    """

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch
        self._queues = [torch.cuda.Stream() for _ in range(3)]
        self._pool = torch.cuda.graph_pool_handle()

    def host(self, shape: tuple[int, ...]) -> Tensor:
        """Return pinned memory."""
        made: Tensor = self._torch.empty(shape, dtype=self._torch.uint8, pin_memory=True)
        return made

    def device(self, shape: tuple[int, ...]) -> Tensor:
        """Return memory of the GPU."""
        made: Tensor = self._torch.empty(shape, dtype=self._torch.uint8, device="cuda")
        return made

    def on(self, queue: int) -> AbstractContextManager[Any]:
        """Let what is asked for inside go to a stream."""
        found: AbstractContextManager[Any] = self._torch.cuda.stream(self._queues[queue])
        return found

    def mark(self, queue: int) -> Any:
        """Return an event of a stream."""
        event = self._torch.cuda.Event()
        event.record(self._queues[queue])
        return event

    def after(self, queue: int, mark: Any) -> None:
        """Let a stream wait for an event."""
        self._queues[queue].wait_event(mark)

    def wait(self, mark: Any) -> None:
        """Wait for an event."""
        mark.synchronize()

    def record(self, call: Call, given: Tensor) -> tuple[Callable[[], None], Tensor]:
        """Record a CUDA graph.

        All graphs share one pool: they run one after the other, and each result is copied away
        before the next one runs.
        """
        graph = self._torch.cuda.CUDAGraph()
        with self._torch.cuda.graph(
            graph,
            pool=self._pool,
            stream=self._queues[1],
            capture_error_mode="thread_local",  # decoders may use the GPU meanwhile
        ):
            found = call(given)
        return graph.replay, found

    def release(self) -> None:
        """Wait for the GPU, and give back the memory that PyTorch keeps."""
        self._torch.cuda.synchronize()
        self._torch.cuda.empty_cache()


class CpuTools:
    """The CPU, where everything happens at once, one after the other.

    Args:
        torch: the module.
    """

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch

    def host(self, shape: tuple[int, ...]) -> Tensor:
        """Return memory."""
        made: Tensor = self._torch.empty(shape, dtype=self._torch.uint8)
        return made

    device = host

    def on(self, queue: int) -> AbstractContextManager[Any]:
        """Do nothing."""
        return contextlib.nullcontext()

    def mark(self, queue: int) -> Any:
        """Do nothing."""

    def after(self, queue: int, mark: Any) -> None:
        """Do nothing."""

    def wait(self, mark: Any) -> None:
        """Do nothing."""

    def record(self, call: Call, given: Tensor) -> tuple[Callable[[], None], Tensor]:
        """Keep the call itself, with its result in one place."""
        found = call(given)

        def replay() -> None:
            found.copy_(call(given))

        return replay, found

    def release(self) -> None:
        """Do nothing."""


@dataclass(eq=False)
class _Batch:
    """Frames under way.

    Attributes:
        result: uint8 N×H×W×3; what came down already.
        slots: where the rest is.
    """

    result: Frames
    slots: list[_Slot] = field(default_factory=list)


@dataclass(eq=False)
class _Slot:
    """A chunk under way: its memory on both sides, and where it has got to.

    Attributes:
        host_in, host_out: pinned memory.
        device_in, device_out: memory of the GPU.
        batch: what it is of; None when it is free.
        bucket: which frames of the batch it has.
        down: the mark behind its download.
    """

    host_in: Tensor
    host_out: Tensor
    device_in: Tensor
    device_out: Tensor
    batch: _Batch | None = None
    bucket: Bucket | None = None
    down: Any = None


class _Lane:
    """What is kept for a shape of chunks."""

    def __init__(self, tools: Tools, shape: tuple[int, ...]) -> None:
        result = (*shape[:3], PICTURE)
        self.slots = [
            _Slot(tools.host(shape), tools.host(result), tools.device(shape), tools.device(result))
            for _ in range(2)
        ]
        self.given = tools.device(shape)
        self.replay: Callable[[], None] | None = None
        self.found: Tensor | None = None
        self.turn = 0

    def next_slot(self) -> _Slot:
        """Return the slot that has been under way for longer."""
        self.turn ^= 1
        return self.slots[self.turn]


class OverlappedRunner:
    """Runs batches of any size, in chunks.

    Args:
        call: the network.
        tools: of its device.
        graphs: record what comes again.
    """

    def __init__(self, call: Call, tools: Tools, *, graphs: bool = True) -> None:
        self._call, self._tools = call, tools
        self._book = ShapeBook() if graphs else None
        self._lanes: OrderedDict[tuple[int, ...], _Lane] = OrderedDict()

    @property
    def graphs(self) -> bool:
        """Whether shapes that keep coming are recorded."""
        return self._book is not None

    def run(self, frames: Frames) -> Frames:
        """Return uint8 N×H×W×3 of uint8 N×H×W×C."""
        return self.start(frames)()

    def start(self, frames: Frames) -> Callable[[], Frames]:
        """Begin what :meth:`run` does; what is returned waits for it. Others may begin before."""
        batch = _Batch(np.empty((*frames.shape[:3], PICTURE), np.uint8))
        try:
            for bucket in split_into_buckets(len(frames), chunk_frames(*frames.shape[1:3])):
                lane = self._lane((bucket.size, *frames.shape[1:]))
                slot = lane.next_slot()
                if slot.batch is not None:
                    self._collect(slot)
                self._send(lane, slot, frames, bucket)
                slot.batch = batch
                batch.slots.append(slot)
        except BaseException:
            self.forget()  # what is under way of others has ended then, and can be collected
            raise
        return partial(self._finish, batch)

    def _finish(self, batch: _Batch) -> Frames:
        try:
            while batch.slots:
                self._collect(batch.slots[0])
        except BaseException:
            self.forget()
            raise
        return batch.result

    def alone(self, shape: tuple[int, ...]) -> Callable[[], None]:
        """Return what runs the network on memory of the device and waits for it: to measure it.

        Args:
            shape: N×H×W×C; N is a size of buckets.
        """
        lane = self._lane(shape)
        lane.given.zero_()

        def call() -> None:
            self._compute(lane, lane.slots[0])
            self._tools.wait(self._tools.mark(1))

        return call

    def forget(self) -> None:
        """Let go of all memory, such as after it ran out."""
        self._tools.release()  # first of all what is under way ends
        self._lanes.clear()
        self._book = ShapeBook() if self._book is not None else None
        self._tools.release()

    def _send(self, lane: _Lane, slot: _Slot, frames: Frames, bucket: Bucket) -> None:
        tools = self._tools
        fill(frames, bucket, slot.host_in.numpy())
        with tools.on(0):
            slot.device_in.copy_(slot.host_in, non_blocking=True)
        up = tools.mark(0)
        tools.after(1, up)
        with tools.on(1):
            lane.given.copy_(slot.device_in)
        self._compute(lane, slot)
        tools.after(2, tools.mark(1))
        with tools.on(2):
            slot.host_out.copy_(slot.device_out, non_blocking=True)
        slot.bucket, slot.down = bucket, tools.mark(2)

    def _compute(self, lane: _Lane, slot: _Slot) -> None:
        shape = tuple(lane.given.shape)
        number = self._book.graph_of(shape) if self._book is not None else None
        if number is not None and lane.replay is None:
            try:
                lane.replay, lane.found = self._tools.record(self._call, lane.given)
            except Exception as error:
                if is_out_of_memory(error):  # it may suffice for fewer pixels, recorded as well
                    raise
                log.warning("no CUDA graph can be recorded here: %s", one_line(error))
                self._book = None
        with self._tools.on(1):
            if lane.replay is None:
                slot.device_out.copy_(self._call(lane.given))
            else:
                lane.replay()
                assert lane.found is not None
                slot.device_out.copy_(lane.found)

    def _collect(self, slot: _Slot) -> None:
        batch, bucket = slot.batch, slot.bucket
        assert batch is not None
        assert bucket is not None
        self._tools.wait(slot.down)
        batch.result[bucket.start : bucket.start + bucket.used] = slot.host_out.numpy()[
            : bucket.used
        ]
        batch.slots.remove(slot)
        slot.batch = None

    def _lane(self, shape: tuple[int, ...]) -> _Lane:
        lane = self._lanes.get(shape)
        if lane is None:
            idle = [
                kept
                for kept, other in self._lanes.items()
                if other.replay is None and all(slot.batch is None for slot in other.slots)
            ]
            for kept in idle[: max(0, len(idle) - SHAPES_KEPT + 1)]:
                del self._lanes[kept]
            lane = self._lanes[shape] = _Lane(self._tools, shape)
        self._lanes.move_to_end(shape)
        return lane
