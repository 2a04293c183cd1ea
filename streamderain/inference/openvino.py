"""Networks on OpenVINO, which is the faster runtime on x86 processors of either make."""

from __future__ import annotations

import contextlib
import io
from collections import OrderedDict
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.frame import Pixels
from streamderain.hardware import cpu_name, features_here
from streamderain.inference.backend import PICTURE, VIDEO, Frames
from streamderain.inference.cache import BlobCache, cache_folder, key_of
from streamderain.inference.graphs import failed, is_int8, one_line, other_size, usable_cores
from streamderain.inference.openvino_ends import (
    Feed,
    PlacesFeed,
    PlainFeed,
    Signature,
    cut,
    signature_of,
)
from streamderain.inference.precision import multiplies_bfloats
from streamderain.inference.prior import Prior
from streamderain.inference.tiling import lanes_for
from streamderain.models import ModelInfo, sha256_of

__all__ = ["OpenVinoBackend", "has_openvino"]

MAX_LANES = 8
"""Frames that are run side by side at most: each has its own memory for activations."""

Shapes = tuple[tuple[int, ...], ...]
"""Of a graph's inputs."""

SHAPES_KEPT = 3
"""Compiled networks that are kept, one for each shape of frames that came last."""


class OpenVinoBackend(ClosesAtExit):
    """One network on OpenVINO's CPU plugin (:class:`~streamderain.inference.backend.Backend`).

    It is compiled for the first shape of frames and for those that come again, which takes a tenth
    of a second and makes a run a fifth faster than with free sizes. Processors that are faster in
    bfloat16 (``precision.py``) compute in it where the network's card allows it: at most a few
    levels apart.

    What was compiled for a shape is kept in the user's cache (``cache.py``): with ``video-m`` the
    first frame is ready after 0.18 s then, where it took 0.33.

    Several frames are run side by side, a core each: then no core waits for another at every layer,
    which matters where decoding and encoding want the cores as well. Measured at 720p on two cores,
    one of them also busy with something else: 75 ms a frame, where two cores for one frame at a
    time take 101.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; with a path.
        threads: of the CPU's operators, or None for one a core that the process may use.
        precision: ``bf16``, ``f32``, or ``auto``: bfloat16 where it is faster and the network's
            card allows it. Graphs in 8 bits keep what they say; this is for the rest of them.

    Raises:
        ModelError: OpenVINO isn't installed; the file is no ONNX, or not uint8 N×H×W×3 in and out
            with free sizes.
    """

    device = "cpu"

    def __init__(
        self, info: ModelInfo, threads: int | None = None, precision: str = "auto"
    ) -> None:
        self._library: Any = _import_openvino()
        ov = self._library
        self.name, self.model = info.name, info
        self.notes: tuple[str, ...] = ()
        self._core: Any = ov.Core()
        if precision == "auto":
            allowed = info.card is not None and info.card.precision == "bf16"
            faster = multiplies_bfloats(features_here(), cpu_name())
            precision = "bf16" if allowed and faster and not is_int8(info) else "f32"
        self.precision = precision
        cores = threads or usable_cores()
        self.lanes = min(cores, MAX_LANES)
        self._options = {
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": cores,
            "ENABLE_CPU_PINNING": False,  # decoding and encoding want these cores as well
            "CPU_RUNTIME_CACHE_CAPACITY": 0,  # what it keeps of each shape would only grow
        }
        # Only a file that its card vouches for is known by its hash: another may have its weights
        # in a second file.
        self._cache = BlobCache(cache_folder("openvino") if info.card is not None else None)
        self._key = (ov.__version__, cpu_name(), sorted(features_here()), sha256_of(info))
        self._graph: Any = None
        self._signature = self._look()
        self.inputs = self._signature.inputs
        self.takes_apart = self._signature.packing is not None
        shown = "int8" if is_int8(info) else precision
        self.runtime = f"OpenVINO {ov.__version__.split('-')[0]}, {shown}"
        self._any_shape: Any = None
        self._last: Shapes = ()
        self._compiled: OrderedDict[Shapes, Any] = OrderedDict()
        self._queues: OrderedDict[Shapes, Any] = OrderedDict()
        self._last_of_many: Shapes = ()

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        packing = self._signature.packing
        if packing is None or not frames.size:
            return self._run(PlainFeed(self._library, frames), frames.shape)
        if self.inputs == PICTURE:
            return self._run(PlacesFeed(packing, list(frames)), frames.shape)
        parts = [_apart(frame) for frame in frames]
        feed = PlacesFeed(packing, [pixels for pixels, _ in parts], [prior for _, prior in parts])
        return self._run(feed, frames.shape)

    def run_apart(self, pictures: Sequence[Pixels], priors: Sequence[Prior] | None) -> Frames:
        """Do the same with frames and priors that nobody has stacked; see :attr:`takes_apart`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        packing = self._signature.packing
        assert packing is not None, "this graph takes frames that are stacked"
        shape = (len(pictures), *pictures[0].shape[:2], self.inputs)
        return self._run(PlacesFeed(packing, pictures, priors), shape)

    def _run(self, feed: Feed, shape: tuple[int, ...]) -> Frames:
        if self._core is None:
            raise ModelError(f"the model {self.name} was closed")
        count, height, width = shape[:3]
        try:
            lanes = lanes_for(self.lanes, height, width, self.model.bytes_per_pixel)
            if min(count, lanes) > 1 and self._comes_again(tuple(feed.shapes(1))):
                self._run_side_by_side(feed, lanes)
            else:
                request = self._request(tuple(feed.shapes(count)))
                feed.fill(request, 0, count)
                request.infer()
                feed.take(request, 0, count)
            if feed.refused is not None and 0 in feed.refused and count:
                raise MemoryError  # that is what it gives where memory ran out
        except (RuntimeError, MemoryError) as error:
            self._forget()  # with the memory that it got
            raise failed(self.name, shape, error) from error
        if feed.refused is not None:
            raise other_size(self.name, shape, feed.refused)
        return feed.result

    def _comes_again(self, shapes: Shapes) -> bool:
        """Say whether frames of a shape are worth what compiling for them costs."""
        again = shapes in self._queues or shapes == self._last_of_many or not self._last_of_many
        self._last_of_many = shapes
        return again

    def _run_side_by_side(self, feed: Feed, lanes: int) -> None:
        """Run each frame by itself, as many at a time as there are lanes."""
        queue = self._queue(tuple(feed.shapes(1)), lanes)
        queue.set_callback(lambda request, index: feed.take(request, index, 1))
        for index in range(feed.count):
            request = queue[queue.get_idle_request_id()]  # the one that is started next
            feed.fill(request, index, 1)
            queue.start_async(userdata=index)
        queue.wait_all()

    def _queue(self, shapes: Shapes, lanes: int) -> Any:
        """Return what runs frames of a shape side by side."""
        if shapes in self._queues:
            self._queues.move_to_end(shapes)
            return self._queues[shapes]
        while len(self._queues) >= SHAPES_KEPT:
            self._queues.popitem(last=False)
        options = {**self._options, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": lanes}
        network = self._compile(shapes, options)
        # One more than run at a time: its frame is packed while they do.
        self._queues[shapes] = self._library.AsyncInferQueue(network, lanes + 1)
        return self._queues[shapes]

    def _request(self, shapes: Shapes) -> Any:
        """Return what runs frames of that shape; from the second of them on, compiled for it."""
        again = shapes == self._last or not self._last
        self._last = shapes
        if shapes in self._compiled:
            self._compiled.move_to_end(shapes)
        elif not again:
            if self._any_shape is None:
                network = self._core.compile_model(self._read(), "CPU", self._options)
                self._any_shape = network.create_infer_request()
            return self._any_shape
        else:
            while len(self._compiled) >= SHAPES_KEPT:
                self._compiled.popitem(last=False)
            self._compiled[shapes] = self._compile(shapes, self._options).create_infer_request()
            self._any_shape = None  # and its memory
        return self._compiled[shapes]

    def _compile(self, shapes: Shapes, options: dict[str, Any]) -> Any:
        """Return the network for a shape, from the cache where it is there and whole."""
        key = key_of("network", shapes, sorted(options.items()), *self._key)
        kept = self._cache.load(key)
        if kept is not None:
            with contextlib.suppress(RuntimeError):
                return self._core.import_model(kept, "CPU", options)
        graph = self._read().clone()
        graph.reshape({end: list(s) for end, s in zip(graph.inputs, shapes, strict=True)})
        network = self._core.compile_model(graph, "CPU", options)
        with contextlib.suppress(RuntimeError, MemoryError):
            written = io.BytesIO()
            network.export_model(written)
            self._cache.store(key, written.getvalue())
        return network

    def _look(self) -> Signature:
        """Return what the graph takes; what was looked at once isn't read again."""
        key = key_of("signature", *self._key)
        kept = self._cache.load(key)
        known = Signature.from_bytes(kept) if kept is not None else None
        if known is None:
            known = signature_of(self.model, self._read_whole())
            self._cache.store(key, known.as_bytes())
        return known

    def _read(self) -> Any:
        """Return what is computed of the graph, which is read when it is first needed."""
        if self._graph is None:
            whole = self._read_whole()
            cuts = self._signature.packing is not None
            self._graph = cut(self._library, whole) if cuts else whole
        return self._graph

    def _read_whole(self) -> Any:
        """Read the graph.

        Raises:
            ModelError: it is no ONNX.
        """
        try:
            return self._core.read_model(str(self.model.path))
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO can't load {self.model.path} ({one_line(error)}); is it an ONNX "
                "model? Then try --backend onnx"
            ) from error

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._graph = self._core = None
        self._forget()

    def _forget(self) -> None:
        self._any_shape, self._last = None, ()
        self._compiled.clear()
        self._queues.clear()
        self._last_of_many = ()


def has_openvino() -> bool:
    """Say whether OpenVINO is installed and can be loaded."""
    try:
        _import_openvino()
    except ModelError:
        return False
    return True


def _import_openvino() -> ModuleType:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise ModelError(
            "OpenVINO isn't installed; run: pip install 'streamderain[openvino]', or leave "
            "--backend openvino out"
        ) from error
    except ImportError as error:
        raise ModelError(
            f"OpenVINO is installed but can't be loaded ({one_line(error)}); "
            "run: pip install --force-reinstall openvino"
        ) from error
    runtime: ModuleType = openvino
    return runtime


def _apart(frame: Pixels) -> tuple[Pixels, Prior]:
    """Take a stacked frame, uint8 H×W×7, apart again."""
    shape = frame.shape[:2]
    pixels, scene = np.empty((*shape, PICTURE), np.uint8), np.empty((*shape, PICTURE), np.uint8)
    reliability = np.empty(shape, np.uint8)
    whole = np.ascontiguousarray(frame)
    channels = [index for to in range(VIDEO) for index in (to, to)]
    cv2.mixChannels([whole], [pixels, scene, reliability], channels)
    return pixels, Prior(scene, reliability)
