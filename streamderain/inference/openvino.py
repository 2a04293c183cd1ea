"""Networks on OpenVINO, which is the faster runtime on x86 processors of either make."""

from __future__ import annotations

import contextlib
import io
from collections import OrderedDict
from types import ModuleType
from typing import Any

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.hardware import cpu_name, features_here
from streamderain.inference.backend import PICTURE, VIDEO, Frames
from streamderain.inference.cache import BlobCache, cache_folder, key_of
from streamderain.inference.graphs import (
    End,
    check_result,
    check_signature,
    failed,
    is_int8,
    one_line,
    usable_cores,
)
from streamderain.inference.precision import multiplies_bfloats
from streamderain.inference.tiling import lanes_for
from streamderain.models import ModelInfo, sha256_of

__all__ = ["OpenVinoBackend", "has_openvino"]

MAX_LANES = 8
"""Frames that are run side by side at most: each has its own memory for activations."""

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
        self.inputs = self._channels()
        shown = "int8" if is_int8(info) else precision
        self.runtime = f"OpenVINO {ov.__version__.split('-')[0]}, {shown}"
        self._any_shape: Any = None
        self._last: tuple[int, ...] = ()
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._queues: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._last_of_many: tuple[int, ...] | None = None

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        if self._core is None:
            raise ModelError(f"the model {self.name} was closed")
        try:
            count, height, width, channels = frames.shape
            lanes = lanes_for(self.lanes, height, width, self.model.bytes_per_pixel)
            if min(count, lanes) > 1 and self._comes_again((height, width, channels)):
                result = self._run_side_by_side(np.ascontiguousarray(frames), lanes)
            else:
                request = self._request(frames.shape)
                found = request.infer({0: np.ascontiguousarray(frames)}, share_inputs=True)
                result = np.array(found[0])  # a copy: the next run writes over it
            if frames.size and not result.size:  # what it gives where memory ran out
                raise MemoryError
        except (RuntimeError, MemoryError) as error:
            self._forget()  # with the memory that it got
            raise failed(self.name, frames, error) from error
        return check_result(self.name, frames, result)

    def _comes_again(self, shape: tuple[int, ...]) -> bool:
        """Say whether frames of a shape are worth what compiling for them costs."""
        again = shape in self._queues or shape == self._last_of_many or self._last_of_many is None
        self._last_of_many = shape
        return again

    def _run_side_by_side(self, frames: Frames, lanes: int) -> Frames:
        """Run each frame by itself, as many at a time as there are lanes."""
        results: list[Frames] = [np.empty(0, np.uint8)] * len(frames)

        def keep(request: Any, index: int) -> None:
            results[index] = np.array(request.get_output_tensor().data)

        queue = self._queue(frames.shape[1:], lanes)
        queue.set_callback(keep)
        for index in range(len(frames)):
            queue.start_async({0: frames[index : index + 1]}, index, share_inputs=True)
        queue.wait_all()
        if any(not result.size for result in results):
            raise MemoryError
        return np.concatenate(results)

    def _queue(self, shape: tuple[int, ...], lanes: int) -> Any:
        """Return what runs frames of a shape side by side."""
        if shape in self._queues:
            self._queues.move_to_end(shape)
            return self._queues[shape]
        while len(self._queues) >= SHAPES_KEPT:
            self._queues.popitem(last=False)
        options = {**self._options, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": lanes}
        network = self._compile((1, *shape), options)
        self._queues[shape] = self._library.AsyncInferQueue(network, lanes)
        return self._queues[shape]

    def _request(self, shape: tuple[int, ...]) -> Any:
        """Return what runs frames of that shape; from the second of them on, compiled for it."""
        again = shape == self._last or not self._last
        self._last = shape
        if shape in self._compiled:
            self._compiled.move_to_end(shape)
        elif not again:
            if self._any_shape is None:
                network = self._core.compile_model(self._read(), "CPU", self._options)
                self._any_shape = network.create_infer_request()
            return self._any_shape
        else:
            while len(self._compiled) >= SHAPES_KEPT:
                self._compiled.popitem(last=False)
            self._compiled[shape] = self._compile(shape, self._options).create_infer_request()
            self._any_shape = None  # and its memory
        return self._compiled[shape]

    def _compile(self, shape: tuple[int, ...], options: dict[str, Any]) -> Any:
        """Return the network for a shape, from the cache where it is there and whole."""
        key = key_of("network", shape, sorted(options.items()), *self._key)
        kept = self._cache.load(key)
        if kept is not None:
            with contextlib.suppress(RuntimeError):
                return self._core.import_model(kept, "CPU", options)
        graph = self._read().clone()
        graph.reshape(list(shape))
        network = self._core.compile_model(graph, "CPU", options)
        with contextlib.suppress(RuntimeError, MemoryError):
            written = io.BytesIO()
            network.export_model(written)
            self._cache.store(key, written.getvalue())
        return network

    def _channels(self) -> int:
        """Return how many channels the graph takes; what was checked once isn't read again."""
        key = key_of("channels", *self._key)
        known = {str(count).encode(): count for count in (PICTURE, VIDEO)}
        kept = known.get(self._cache.load(key) or b"")
        if kept is not None:
            return kept
        graph = self._read()
        found = check_signature(
            self.model, list(map(_end, graph.inputs)), list(map(_end, graph.outputs))
        )
        self._cache.store(key, str(found).encode())
        return found

    def _read(self) -> Any:
        """Return the graph, which is read when it is first needed.

        Raises:
            ModelError: it is no ONNX.
        """
        if self._graph is None:
            try:
                self._graph = self._core.read_model(str(self.model.path))
            except RuntimeError as error:
                raise ModelError(
                    f"OpenVINO can't load {self.model.path} ({one_line(error)}); is it an ONNX "
                    "model? Then try --backend onnx"
                ) from error
        return self._graph

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._graph = self._core = None
        self._forget()

    def _forget(self) -> None:
        self._any_shape, self._last = None, ()
        self._compiled.clear()
        self._queues.clear()
        self._last_of_many = None


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


def _end(end: Any) -> End:
    shape = end.partial_shape
    sizes = () if shape.rank.is_dynamic else tuple(shape)
    kind = end.element_type.to_string()
    return End(
        end.any_name,
        "uint8" if kind == "u8" else kind,
        tuple(size.get_length() if size.is_static else None for size in sizes),
    )
