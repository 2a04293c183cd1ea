"""Networks on NVIDIA GPUs by ONNX Runtime: its CUDA provider, or TensorRT where that is asked for.

Frames go up and come down as uint8, into memory of the GPU that is kept for each shape; the network
computes in half between its ends (``half.py``); batches are of few sizes (``buckets.py``), and a
shape that keeps coming is recorded as a CUDA graph and replayed with one call.

ONNX Runtime keeps one graph for each number in ``gpu_graph_id``, and −1 is a run without: that is
how several shapes live in one session. A replay reads and writes the very memory that was recorded.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError, UsageError
from streamderain.inference.backend import PICTURE, Backend, Frames
from streamderain.inference.buckets import Bucket, ShapeBook, fill, split_into_buckets
from streamderain.inference.cache import cache_folder
from streamderain.inference.graphs import failed, one_line
from streamderain.inference.half import HEAVY, to_half
from streamderain.inference.memory import is_out_of_memory
from streamderain.inference.onnx import (
    CPU,
    OnnxBackend,
    channels_of,
    import_runtime,
    open_session,
    session_options,
)
from streamderain.models import ModelInfo

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["CUDA", "TENSORRT", "CudaBackend", "CudaMissingError", "cuda_is_built_in", "open_onnx"]

log = logging.getLogger("streamderain")

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"

PLAIN_LANES = 4
"""Shapes whose memory on the GPU is kept though they are not recorded."""

PLAIN_RUN = -1
"""The number of a run that records and replays nothing."""


class CudaMissingError(ModelError):
    """CUDA or TensorRT can't be had here; the CPU could."""


@dataclass
class _Lane:
    """What is kept for a shape of runs.

    Attributes:
        given, found: memory of the GPU, bound to the graph's ends.
        binding: of these.
        staging: memory of the host for runs that need padding, uint8.
    """

    given: Any
    found: Any
    binding: Any
    staging: Frames | None = None


class CudaBackend(ClosesAtExit):
    """One network on a GPU (:class:`~streamderain.inference.backend.Backend`).

    Args:
        info: from :func:`~streamderain.models.resolve_model`; with a path.
        tensorrt: run it by TensorRT, and by CUDA what that can't.
        half: compute in 16-bit floats between the ends, where the network bears it.
        graphs: record CUDA graphs.
        options: of ONNX Runtime's CUDA provider, beside our own.

    Attributes:
        precision: ``float16`` or ``float32``, between the ends.
        graphs: whether shapes that keep coming are recorded.

    Raises:
        CudaMissingError: CUDA, or TensorRT, can't be had, or would leave the work to the CPU.
        ModelError: ONNX Runtime isn't installed; the file is no ONNX, or not uint8 N×H×W×3 in and
            out with free sizes.
    """

    device = "cuda"
    lanes = 1

    def __init__(
        self,
        info: ModelInfo,
        *,
        tensorrt: bool = False,
        half: bool = True,
        graphs: bool = True,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._ort = import_runtime()
        self._tensorrt, self._more = tensorrt, dict(options or {})
        _check_built(self._ort, tensorrt)
        self.name, self.model = info.name, info
        self._graph: str | bytes = str(info.path)
        self.notes: tuple[str, ...] = ()
        self.precision = "float32"
        if half:
            self._halve()
        self._session: onnxruntime.InferenceSession | None
        graphs = graphs and not tensorrt  # TensorRT's engines are launched as one anyway
        try:
            self._open(graphs)
        except CudaMissingError:
            raise
        except ModelError as error:
            if self.precision == "float32":
                raise
            log.warning("%s can't be opened in 16-bit floats: %s", self.name, one_line(error))
            self._graph, self.precision = str(info.path), "float32"
            self._open(graphs)
        assert self._session is not None
        self.inputs = channels_of(info, self._session)
        kind = "TensorRT" if tensorrt else "CUDA"
        self.runtime = f"ONNX Runtime {self._ort.__version__}, {kind}, {self.precision}"

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        if self._session is None:
            raise ModelError(f"the model {self.name} was closed")
        result = np.empty((*frames.shape[:3], PICTURE), np.uint8)
        try:
            for bucket in split_into_buckets(len(frames)):
                found = self._run_bucket(frames, bucket)
                result[bucket.start : bucket.start + bucket.used] = found[: bucket.used]
        except Exception as error:
            self._drop_lanes()
            raise failed(self.name, frames.shape, error) from error
        return result

    def alone(self, shape: tuple[int, ...]) -> Callable[[], None]:
        """Return what runs the network on memory of the GPU and waits for it: to measure it.

        Args:
            shape: N×H×W×:attr:`inputs`; N is a size of buckets.
        """
        lane = self._lane(shape)
        lane.given.update_inplace(np.zeros(shape, np.uint8))

        def call() -> None:
            graph = self._book.graph_of(shape) if self._book else None
            self._recorded |= set() if graph is None else {shape}
            self._call(lane, PLAIN_RUN if graph is None else graph)

        return call

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._lanes.clear()
        self._session = None

    def _halve(self) -> None:
        try:
            import onnx
        except ImportError:
            self.notes = (
                "The package onnx is not installed, so the GPU computes in 32-bit floats; for "
                "16-bit floats, run: pip install onnx",
            )
            return
        try:
            graph = to_half(onnx.load(str(self.model.path)))
        except Exception as error:  # noqa: BLE001 - what is no ONNX is said on opening it
            log.debug("%s stays in 32-bit floats: %s", self.name, one_line(error))
            return
        if graph is not None:
            self._graph, self.precision = graph.SerializeToString(), "float16"

    def _open(self, graphs: bool) -> None:
        """Open the session, and forget all that was kept for another."""
        self._lanes: OrderedDict[tuple[int, ...], _Lane] = OrderedDict()
        self._recorded: set[tuple[int, ...]] = set()
        self._book, self.graphs = ShapeBook() if graphs else None, graphs
        self._session = None
        options = session_options(self._ort)
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        providers = self._providers(graphs)
        with _quiet_cuda(self._ort, self._tensorrt):
            try:
                session = open_session(self._ort, self.model, self._graph, options, providers)
            except ModelError:
                if not graphs:
                    raise
                self._open(graphs=False)  # a graph that can't be recorded is refused on opening
                return
        _check_really_on_gpu(session, providers[0][0])
        self._session = session
        self._ends = session.get_inputs()[0].name, session.get_outputs()[0].name

    def _providers(self, graphs: bool) -> list[tuple[str, dict[str, str]]]:
        cuda = {
            "device_id": "0",
            # Doubling, the default, would take what other programs and sizes need.
            "arena_extend_strategy": "kSameAsRequested",
            "enable_cuda_graph": "1" if graphs else "0",
            **self._more,
        }
        found = [(CUDA, cuda), (CPU, {})]
        if self._tensorrt:
            found.insert(0, (TENSORRT, _tensorrt_options(self.precision == "float16")))
        return found

    def _run_bucket(self, frames: Frames, bucket: Bucket) -> Frames:
        shape = (bucket.size, *frames.shape[1:])
        lane = self._lane(shape)
        if bucket.used == bucket.size:
            given = np.ascontiguousarray(frames[bucket.start : bucket.start + bucket.used])
        else:
            if lane.staging is None:
                lane.staging = np.empty(shape, np.uint8)
            given = lane.staging
            fill(frames, bucket, given)
        lane.given.update_inplace(given)
        graph = self._book.graph_of(shape) if self._book else None
        if graph is None:
            self._call(lane, PLAIN_RUN)
        else:
            fresh = shape not in self._recorded
            self._recorded.add(shape)
            try:
                self._call(lane, graph)
            except Exception as error:
                if is_out_of_memory(error):  # it may suffice for fewer pixels, recorded as well
                    if fresh:
                        self._recorded.remove(shape)
                    raise
                log.warning("no CUDA graph can be recorded here: %s", one_line(error))
                self._open(graphs=False)
                return self._run_bucket(frames, bucket)
        return np.asarray(lane.found.numpy(), np.uint8)

    def _call(self, lane: _Lane, graph: int) -> None:
        assert self._session is not None
        options = self._ort.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(graph))
        self._session.run_with_iobinding(lane.binding, options)

    def _lane(self, shape: tuple[int, ...]) -> _Lane:
        lane = self._lanes.get(shape)
        if lane is None:
            plain = [kept for kept in self._lanes if kept not in self._recorded]
            for kept in plain[: max(0, len(plain) - PLAIN_LANES + 1)]:
                del self._lanes[kept]
            lane = self._lanes[shape] = self._new_lane(shape)
        self._lanes.move_to_end(shape)
        return lane

    def _new_lane(self, shape: tuple[int, ...]) -> _Lane:
        assert self._session is not None
        make = self._ort.OrtValue.ortvalue_from_shape_and_type
        given = make(shape, np.uint8, "cuda", 0)
        found = make((*shape[:3], PICTURE), np.uint8, "cuda", 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._ends[0], given)
        binding.bind_ortvalue_output(self._ends[1], found)
        return _Lane(given, found, binding)

    def _drop_lanes(self) -> None:
        """Let go of memory after a failure, but for what recorded graphs write to."""
        for shape in [shape for shape in self._lanes if shape not in self._recorded]:
            del self._lanes[shape]


def open_onnx(info: ModelInfo, device: str = "auto", *, tensorrt: bool = False) -> Backend:
    """Return a network on ONNX Runtime, on the device that is asked for or there is.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; with a path.
        device: ``cpu``, ``cuda`` (an error where it can't be had), or ``auto``: CUDA where it
            works, else the CPU, with a note where CUDA is installed.
        tensorrt: by TensorRT or not at all.

    Raises:
        UsageError: TensorRT on the CPU.
        CudaMissingError: CUDA or TensorRT was asked for and can't be had.
        ModelError: no runtime, or the model doesn't fit.
    """
    if tensorrt and device == "cpu":
        raise UsageError(
            "TensorRT runs on NVIDIA GPUs; leave --device cpu or --backend tensorrt out"
        )
    must = tensorrt or device == "cuda"
    if not must and (device == "cpu" or not cuda_is_built_in()):
        return OnnxBackend(info)
    try:
        return CudaBackend(info, tensorrt=tensorrt)
    except ModelError as error:
        if must and not isinstance(error, CudaMissingError):
            raise
        if must:
            hint = "leave --backend tensorrt out" if tensorrt else "use --device cpu"
            raise CudaMissingError(f"{error}, or {hint}") from error
        return OnnxBackend(info, notes=[f"{error}. Everything runs on the CPU."])


def cuda_is_built_in() -> bool:
    """Say whether ONNX Runtime is installed and was built with CUDA."""
    try:
        return CUDA in import_runtime().get_available_providers()
    except ModelError:
        return False


def _check_built(ort: ModuleType, tensorrt: bool) -> None:
    there = ort.get_available_providers()
    if CUDA not in there:
        raise CudaMissingError(
            "CUDA was asked for but this ONNX Runtime is built without it; run: "
            "pip uninstall onnxruntime && pip install 'streamderain[cuda]'"
        )
    if tensorrt and TENSORRT not in there:
        raise CudaMissingError(
            "TensorRT was asked for but this ONNX Runtime is built without it; install one with "
            "TensorRT"
        )


def _check_really_on_gpu(session: onnxruntime.InferenceSession, provider: str) -> None:
    """Raise where the GPU could not be started, or would leave the convolutions to the CPU."""
    reason = "ONNX Runtime could not start CUDA; check the driver with nvidia-smi"
    if provider == TENSORRT:
        reason = "ONNX Runtime could not start TensorRT; run: pip install tensorrt"
    if session.get_providers()[0] != provider:
        raise CudaMissingError(reason)
    if not hasattr(session, "get_provider_graph_assignment_info"):  # before 1.24
        return
    left = sum(
        node.op_type in HEAVY
        for part in session.get_provider_graph_assignment_info()
        if part.ep_name == CPU
        for node in part.get_nodes()
    )
    if left:
        raise CudaMissingError(
            f"ONNX Runtime leaves {left} convolutions of this network to the CPU; its build does "
            "not fit this GPU"
        )


def _tensorrt_options(half: bool) -> dict[str, str]:
    """Return TensorRT's options: its engines take minutes to build, so they are kept."""
    options = {"device_id": "0", "trt_fp16_enable": "1" if half else "0"}
    folder = cache_folder("tensorrt")
    if folder is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
    return options


@contextlib.contextmanager
def _quiet_cuda(ort: ModuleType, tensorrt: bool) -> Iterator[None]:
    """Load CUDA's libraries from their wheels; what fails shows in the session's providers.

    ONNX Runtime prints about it on standard output, where video may be, and in its log.
    """
    warnings_and_above = 2  # ONNX Runtime's default
    ort.set_default_logger_severity(4)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            ort.preload_dlls()
            if tensorrt:
                importlib.import_module("tensorrt")  # loads its libraries from its wheel
        yield
    finally:
        ort.set_default_logger_severity(warnings_and_above)
