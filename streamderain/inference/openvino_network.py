"""One graph on OpenVINO: compiled for the shapes that come, run once or side by side."""

from __future__ import annotations

import contextlib
import io
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from streamderain.errors import ModelError
from streamderain.hardware import cpu_name, features_here
from streamderain.inference.cache import BlobCache, cache_folder, key_of
from streamderain.inference.graphs import failed, one_line, other_size, usable_cores
from streamderain.inference.openvino_ends import Feed, Signature, cut, signature_of
from streamderain.inference.openvino_lanes import Lanes
from streamderain.inference.tiling import lanes_for
from streamderain.models import ModelInfo, sha256_of

__all__ = ["SHAPES_KEPT", "OpenVinoNetwork"]

MAX_LANES = 8
"""Frames that are run side by side at most: each has its own memory for activations."""

Shapes = tuple[tuple[int, ...], ...]
"""Of a graph's inputs."""

SHAPES_KEPT = 3
"""Compiled networks that are kept, one for each shape of frames that came last."""


class OpenVinoNetwork:
    """A graph of a network on OpenVINO's CPU plugin.

    Args:
        library: OpenVINO.
        info: where the graph is.
        precision: ``bf16`` or ``f32``.
        threads: of the CPU's operators, or None for one a core that the process may use.

    Attributes:
        signature: what the graph takes.
        lanes: frames that are run side by side.

    Raises:
        ModelError: the file is no ONNX, or its ends aren't those of a network.
    """

    def __init__(self, library: Any, info: ModelInfo, precision: str, threads: int | None) -> None:
        self._library, self._info = library, info
        self._core: Any = library.Core()
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
        self._key = (library.__version__, cpu_name(), sorted(features_here()), sha256_of(info))
        self._graph: Any = None
        self.signature = self._look()
        self._any_shape: Any = None
        self._last: Shapes = ()
        self._compiled: OrderedDict[Shapes, Any] = OrderedDict()
        self._side_by_side: OrderedDict[Shapes, Lanes] = OrderedDict()
        self._last_of_many: Shapes = ()

    def start(self, feed: Feed, shape: tuple[int, ...]) -> Callable[[], None]:
        """Begin to run frames through the network.

        Args:
            feed: the frames.
            shape: N, height, width and channels of them.

        Returns:
            What waits until they have what came out, and raises what is said here. Where frames
            run side by side, others may be begun before; else they are through already.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        if self._core is None:
            raise ModelError(f"the model {self._info.name} was closed")
        count, height, width = shape[:3]
        with self._told(shape):
            lanes = lanes_for(self.lanes, height, width, self._info.bytes_per_pixel)
            # Fewer than there are lanes would leave cores idle.
            if 1 < lanes <= count and self._comes_again(tuple(feed.shapes(1))):
                side_by_side = self._lanes(tuple(feed.shapes(1)), lanes)
                run = side_by_side.begin(feed)

                def finish() -> None:
                    with self._told(shape):
                        side_by_side.end(run)
                        self._check(feed, shape)

                return finish
            request = self._request(tuple(feed.shapes(count)))
            feed.fill(request, 0, count)
            request.infer()
            feed.take(request, 0, count)
            self._check(feed, shape)
        return lambda: None

    @contextlib.contextmanager
    def _told(self, shape: tuple[int, ...]) -> Iterator[None]:
        """Say in our words what OpenVINO says."""
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            self._forget()  # with the memory that it got
            raise failed(self._info.name, shape, error) from error

    def _check(self, feed: Feed, shape: tuple[int, ...]) -> None:
        """Refuse what came out where it was of another size."""
        if feed.refused is None:
            return
        if 0 in feed.refused and shape[0]:
            raise MemoryError  # that is what it gives where memory ran out
        raise other_size(self._info.name, shape, feed.refused)

    def _comes_again(self, shapes: Shapes) -> bool:
        """Say whether frames of a shape are worth what compiling for them costs."""
        again = (
            shapes in self._side_by_side or shapes == self._last_of_many or not self._last_of_many
        )
        self._last_of_many = shapes
        return again

    def _lanes(self, shapes: Shapes, lanes: int) -> Lanes:
        """Return what runs frames of a shape side by side."""
        if shapes in self._side_by_side:
            self._side_by_side.move_to_end(shapes)
            return self._side_by_side[shapes]
        while len(self._side_by_side) >= SHAPES_KEPT:
            self._side_by_side.popitem(last=False)
        options = {**self._options, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": lanes}
        made = self._side_by_side[shapes] = Lanes(self._compile(shapes, options), lanes)
        return made

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
            known = signature_of(self._info, self._read_whole())
            self._cache.store(key, known.as_bytes())
        return known

    def _read(self) -> Any:
        """Return what is computed of the graph, which is read when it is first needed."""
        if self._graph is None:
            whole = self._read_whole()
            cuts = self.signature.packing is not None and not self.signature.planes
            self._graph = cut(self._library, whole) if cuts else whole
        return self._graph

    def _read_whole(self) -> Any:
        """Read the graph.

        Raises:
            ModelError: it is no ONNX.
        """
        try:
            return self._core.read_model(str(self._info.path))
        except RuntimeError as error:
            raise ModelError(
                f"OpenVINO can't load {self._info.path} ({one_line(error)}); is it an ONNX "
                "model? Then try --backend onnx"
            ) from error

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._graph = self._core = None
        self._forget()

    def _forget(self) -> None:
        self._any_shape, self._last = None, ()
        self._compiled.clear()
        self._side_by_side.clear()
        self._last_of_many = ()
