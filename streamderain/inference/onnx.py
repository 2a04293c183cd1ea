"""Networks on ONNX Runtime: on the CPU, and what its other devices share (``cuda.py``)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.frame import Planes
from streamderain.inference.backend import Frames
from streamderain.inference.graphs import (
    End,
    check_result,
    check_signature,
    failed,
    is_int8,
    one_line,
    other_size,
    usable_cores,
)
from streamderain.inference.places import (
    DERAINED,
    MULTIPLE,
    PLACES,
    PlacedPlanes,
    packing_of,
)
from streamderain.inference.prior import Prior
from streamderain.models import ModelInfo

if TYPE_CHECKING:
    import onnxruntime

__all__ = [
    "CPU",
    "OnnxBackend",
    "PlanesSession",
    "channels_of",
    "import_runtime",
    "open_session",
    "session_options",
]

CPU = "CPUExecutionProvider"


class OnnxBackend(ClosesAtExit):
    """One network on the CPU: an ONNX Runtime session for RGB, and one for planes where it has one.

    Memory: a session keeps its arena, about 270 bytes for each pixel of the largest run of
    ``attention-m``. ONNX Runtime's memory patterns are off: they would plan a second block of the
    same size for each shape that comes twice (510 bytes a pixel), and made no run faster.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; with a path.
        threads: of the CPU's operators, or None for one a core that the process may use.
        notes: what the user should hear of once.

    Attributes:
        takes_planes: :meth:`run_planes` may be called; networks that ship in 8 bits for it.

    Raises:
        ModelError: ONNX Runtime isn't installed; a file is no ONNX, the one for RGB isn't uint8
            N×H×W×3 in and out with free sizes, or the one for planes isn't for planes.
    """

    device = "cpu"
    lanes = 1

    def __init__(
        self, info: ModelInfo, threads: int | None = None, notes: Sequence[str] = ()
    ) -> None:
        ort = import_runtime()
        self.name, self.model, self.notes = info.name, info, tuple(notes)
        options = session_options(ort, threads)
        session = open_session(ort, info, str(info.path), options, [CPU])
        self.inputs = channels_of(info, session)
        planes = info.for_planes() if is_int8(info) else None
        self._planes = PlanesSession(ort, planes, options) if planes else None
        self.takes_planes = self._planes is not None
        self.runtime = f"ONNX Runtime {ort.__version__}{', int8' if is_int8(info) else ''}"
        self._input = session.get_inputs()[0].name
        self._session: onnxruntime.InferenceSession | None = session

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        if self._session is None:
            raise ModelError(f"the model {self.name} was closed")
        try:
            (derained,) = self._session.run(None, {self._input: frames})
        except Exception as error:
            raise failed(self.name, frames.shape, error) from error
        return check_result(self.name, frames, np.asarray(derained))

    def run_planes(
        self, pictures: Sequence[Planes], priors: Sequence[Prior] | None
    ) -> list[Planes]:
        """Do the same with pictures as codecs hold them, where the network ships so.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        assert self._planes is not None, "this network takes RGB"
        return self._planes.run(pictures, priors)

    def close(self) -> None:
        """Let go of the session and its memory."""
        self._session = None
        if self._planes is not None:
            self._planes.close()


class PlanesSession:
    """A graph for pictures as codecs hold them, in a session on the CPU.

    Without ways over RGB, ``clean`` is 1.2 (``video-xs``) to 1.35 times (``video-xxs``) as fast.

    Args:
        ort: ONNX Runtime's module.
        info: where the graph is.
        options: of the session.

    Raises:
        ModelError: it can't be loaded, or isn't for planes.
    """

    def __init__(self, ort: ModuleType, info: ModelInfo, options: Any) -> None:
        self._info = info
        session = open_session(ort, info, str(info.path), options, [CPU])
        derained = session.get_outputs()[0]
        kept = session.get_modelmeta().custom_metadata_map
        try:
            if derained.name != DERAINED:
                raise ValueError(derained.name)
            self._packing = packing_of(derained.shape[3], kept[MULTIPLE])
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise ModelError(
                f"{info.path} isn't a graph for pictures as codecs hold them"
            ) from error
        self._names = PLACES[: len(session.get_inputs())]
        self._session: onnxruntime.InferenceSession | None = session

    def run(self, pictures: Sequence[Planes], priors: Sequence[Prior] | None) -> list[Planes]:
        """Return the derained pictures; see :meth:`OnnxBackend.run_planes`."""
        if self._session is None:
            raise ModelError(f"the model {self._info.name} was closed")
        shape = (len(pictures), *pictures[0].size, len(self._names))
        try:
            placed = PlacedPlanes(self._packing, pictures, priors)
            places = [np.empty(size, np.uint8) for size in placed.shapes(placed.count)]
            placed.pack(places, 0, placed.count)
            (found,) = self._session.run(None, dict(zip(self._names, places, strict=True)))
        except Exception as error:
            raise failed(self._info.name, shape, error) from error
        placed.unpack(np.asarray(found), 0, placed.count)
        if placed.refused is not None:
            raise other_size(self._info.name, shape, placed.refused)
        return placed.result

    def close(self) -> None:
        """Let go of the session and its memory."""
        self._session = None


def import_runtime() -> ModuleType:
    """Return ONNX Runtime's module, which tells nobody that it is used.

    Its official builds make an identifier of the machine and send events to Microsoft unless the
    environment says otherwise before they are loaded; who has a say there, is heard.

    Raises:
        ModelError: it isn't installed, or can't be loaded.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModelError(
            "no runtime is installed; run: pip install 'streamderain[cpu]', "
            "or 'streamderain[cuda]' for an NVIDIA GPU"
        ) from error
    except ImportError as error:
        raise ModelError(
            f"ONNX Runtime is installed but can't be loaded ({one_line(error)}); "
            "run: pip install --force-reinstall onnxruntime"
        ) from error
    runtime: ModuleType = onnxruntime
    return runtime


def session_options(ort: ModuleType, threads: int | None = None) -> Any:
    """Return options that every device shares.

    Args:
        ort: ONNX Runtime's module.
        threads: of the CPU's operators, or None for one a core that the process may use.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; the log would only repeat it
    options.intra_op_num_threads = threads or usable_cores()
    options.enable_mem_pattern = False
    # A spinning thread takes the core that decoding and encoding need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def open_session(
    ort: ModuleType, info: ModelInfo, graph: str | bytes, options: Any, providers: Sequence[Any]
) -> onnxruntime.InferenceSession:
    """Return a session of a graph, given by its path or its bytes.

    Raises:
        ModelError: it can't be loaded.
    """
    try:
        return ort.InferenceSession(graph, options, providers=list(providers))
    except Exception as error:
        raise ModelError(
            f"{info.path} can't be loaded as an ONNX model: {one_line(error)}"
        ) from error


def channels_of(info: ModelInfo, session: onnxruntime.InferenceSession) -> int:
    """Return how many channels a session's graph takes.

    Raises:
        ModelError: it isn't uint8 N×H×W×3 or ×7 in, N×H×W×3 out, or its sizes aren't free.
    """
    ends = [list(map(_end, ends)) for ends in (session.get_inputs(), session.get_outputs())]
    return check_signature(info, *ends)


def _end(end: Any) -> End:
    kind = end.type.removeprefix("tensor(").removesuffix(")")
    sizes = tuple(size if isinstance(size, int) else None for size in end.shape)
    return End(end.name, kind, sizes)
