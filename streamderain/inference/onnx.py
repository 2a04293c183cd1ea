"""Networks on ONNX Runtime, CPU or CUDA."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.inference.backend import Frames
from streamderain.inference.graphs import (
    End,
    check_result,
    check_signature,
    failed,
    one_line,
    usable_cores,
)
from streamderain.models import ModelInfo

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["DEVICES", "OnnxBackend", "cuda_is_built_in"]

DEVICES = ("auto", "cpu", "cuda")

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxBackend(ClosesAtExit):
    """One network in one ONNX Runtime session.

    Memory: the session keeps its arena, about 270 bytes for each pixel of the largest run of
    ``attention-m``. ONNX Runtime's memory patterns are off: they would plan a second block of the
    same size for each shape that comes twice (510 bytes a pixel), and made no run faster.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; with a path.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where it works.
        threads: of the CPU's operators, or None for one a core that the process may use.

    Raises:
        ModelError: ONNX Runtime isn't installed; the file is no ONNX, or not uint8 N×H×W×3 in and
            out with free sizes; CUDA was asked for and can't be had.
    """

    def __init__(self, info: ModelInfo, device: str = "auto", threads: int | None = None) -> None:
        ort = _import_runtime()
        self.name, self.model = info.name, info
        session = _open_session(ort, info, _providers(ort, device), threads)
        self.device = "cuda" if session.get_providers()[0] == CUDA else "cpu"
        self.notes: tuple[str, ...] = ()
        if self.device == "cpu" and device != "cpu" and CUDA in ort.get_available_providers():
            reason = "ONNX Runtime could not start CUDA; check the driver with nvidia-smi"
            if device == "cuda":
                raise ModelError(f"{reason}, or use --device cpu")
            self.notes = (f"{reason}. Everything runs on the CPU.",)
        self.inputs = check_signature(
            info, list(map(_end, session.get_inputs())), list(map(_end, session.get_outputs()))
        )
        self.runtime = f"ONNX Runtime {ort.__version__}"
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
            raise failed(self.name, frames, error) from error
        return check_result(self.name, frames, np.asarray(derained))

    def close(self) -> None:
        """Let go of the session and its memory."""
        self._session = None


def cuda_is_built_in() -> bool:
    """Say whether ONNX Runtime is installed and was built with CUDA."""
    try:
        return CUDA in _import_runtime().get_available_providers()
    except ModelError:
        return False


def _import_runtime() -> ModuleType:
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


def _providers(ort: ModuleType, device: str) -> list[str]:
    has_cuda = CUDA in ort.get_available_providers()
    if device == "cuda" and not has_cuda:
        raise ModelError(
            "CUDA was asked for but this ONNX Runtime is built without it; run: "
            "pip uninstall onnxruntime && pip install 'streamderain[cuda]', or use --device cpu"
        )
    return [CUDA, CPU] if has_cuda and device != "cpu" else [CPU]


def _open_session(
    ort: ModuleType, info: ModelInfo, providers: list[str], threads: int | None
) -> onnxruntime.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; the log would only repeat it
    options.intra_op_num_threads = threads or usable_cores()
    options.enable_mem_pattern = False
    # A spinning thread takes the core that decoding and encoding need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        with _quiet_cuda(ort) if CUDA in providers else contextlib.nullcontext():
            return ort.InferenceSession(str(info.path), options, providers=providers)
    except Exception as error:
        raise ModelError(
            f"{info.path} can't be loaded as an ONNX model: {one_line(error)}"
        ) from error


@contextlib.contextmanager
def _quiet_cuda(ort: ModuleType) -> Iterator[None]:
    """Load CUDA's libraries from their wheels; what fails shows in the session's providers.

    ONNX Runtime prints about it on standard output, where video may be, and in its log.
    """
    warnings_and_above = 2  # ONNX Runtime's default
    ort.set_default_logger_severity(4)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            ort.preload_dlls()
        yield
    finally:
        ort.set_default_logger_severity(warnings_and_above)


def _end(end: Any) -> End:
    kind = end.type.removeprefix("tensor(").removesuffix(")")
    sizes = tuple(size if isinstance(size, int) else None for size in end.shape)
    return End(end.name, kind, sizes)
