"""What the doctor tries, in a process of its own: a crash or a hang takes nothing else along.

Each task is a dictionary with ``do`` and its arguments. For each, a line of JSON says what came
of it, so that whoever reads knows which one took the process down.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import ModuleType

    from streamderain.inference.backend import Backend, Frames
    from streamderain.models import ModelInfo

__all__ = ["TASKS", "attempt", "main", "share_on"]

HEIGHT, WIDTH = 48, 64
"""Of the tiny frame."""

WRONG_LEVELS = 32.0
"""Mean difference between a picture without rain and what came back, above which the runtime is
taken to compute nonsense; the worst of the shipped networks changes it by less than one."""

CUDA = "CUDAExecutionProvider"

HARDWARE = ("_nvenc", "_cuvid", "_qsv", "_amf", "_vaapi", "_videotoolbox", "_v4l2m2m", "_mf")
"""How FFmpeg's names of encoders and decoders for hardware end."""


def main(tasks: list[dict[str, Any]]) -> None:
    """Do the tasks, one after the other; what libraries print goes to standard error."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # crashes are expected: no files of them
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as cleaning does
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for task in tasks:
            print(json.dumps(attempt(task)), file=answers, flush=True)
        os._exit(0)  # a runtime that crashes when it is taken down does so after the work


def attempt(task: dict[str, Any]) -> dict[str, Any]:
    """Return ``{"facts": ...}`` of a task, or ``{"error": ..., "missing": ...}`` of its exception.

    Args:
        task: ``do`` is a key of :data:`TASKS`, the rest its arguments.
    """
    arguments = {key: value for key, value in task.items() if key != "do"}
    try:
        return {"facts": TASKS[task["do"]](**arguments)}
    except BaseException as error:  # noqa: BLE001 - SystemExit too: it is an answer
        from streamderain.errors import StreamderainError

        said = str(error)
        if type(error).__module__.startswith("av."):  # the rest is FFmpeg's arguments
            said = getattr(error, "strerror", None) or said
        elif not isinstance(error, StreamderainError):
            said = f"{type(error).__name__}: {said}".removesuffix(": ")
        absent = isinstance(error, ModuleNotFoundError) and error.name == arguments.get(
            "module", ""
        )
        return {"error": " ".join(said.split())[:300], "missing": absent}


def _import(module: str) -> dict[str, Any]:
    """Import a module; return its version and what else matters of it."""
    imported = importlib.import_module(module)
    version = getattr(imported, "__version__", None)
    describe = _DETAILS.get(module)
    return {
        "version": None if version is None else str(version).split("-")[0],
        "details": [] if describe is None else describe(imported),
    }


def _of_av(av: ModuleType) -> list[str]:
    return [f"FFmpeg {av.ffmpeg_version_info}"]


def _of_onnxruntime(ort: ModuleType) -> list[str]:
    return list(ort.get_available_providers())


def _of_openvino(ov: ModuleType) -> list[str]:
    return [str(device) for device in ov.Core().available_devices]


def _of_torch(torch: ModuleType) -> list[str]:
    built = torch.version.cuda
    if built is None:
        return ["built without CUDA"]
    finds = "finds a GPU" if torch.cuda.is_available() else "finds no GPU"
    return [f"built for CUDA {built}", finds]


_DETAILS: dict[str, Callable[[ModuleType], list[str]]] = {
    "av": _of_av,
    "onnxruntime": _of_onnxruntime,
    "openvino": _of_openvino,
    "torch": _of_torch,
}


def _models() -> dict[str, Any]:
    """Compare each shipped network, its card and its weights."""
    from streamderain.defaults import LIVE_MODEL, PICTURE_MODEL, VIDEO_MODEL
    from streamderain.errors import ModelError
    from streamderain.models import INT8, PLANES, models_folder, read_card, sha256_of_file

    folder = models_folder()
    names = {
        path.stem
        for path in folder.glob("*")
        if path.suffix in (".onnx", ".md") and not path.name.endswith(INT8)
    }
    files = {}
    cheapest: tuple[float, str | None] = (float("inf"), None)
    for name in sorted({*names, VIDEO_MODEL, PICTURE_MODEL, LIVE_MODEL}):
        graph, weights = folder / f"{name}.onnx", folder / f"{name}.safetensors"
        eight_bits, planes = folder / f"{name}{INT8}", folder / f"{name}{PLANES}"
        try:
            card = read_card(folder / f"{name}.md")
            stated: dict[Path, str | None] = {graph: card.sha256}
            if weights.is_file():
                stated[weights] = card.pytorch_sha256
            if card.int8 is not None:
                stated |= {eight_bits: card.int8.sha256, planes: card.int8.planes_sha256}
            wrong = (
                file.name for file, sha256 in stated.items()
                if sha256 is not None and sha256_of_file(file) != sha256
            )  # fmt: skip
            other = next(wrong, None)
            trouble = f"{other} is not the file that its card describes" if other else ""
            if not other:
                cheapest = min(cheapest, (card.macs_per_pixel, name))
        except ModelError as error:
            trouble = str(error)
        files[name] = trouble
    return {"folder": str(folder), "files": files, "cheapest": cheapest[1]}


def _run(model: str, device: str, backend: str) -> dict[str, Any]:
    """Load a network and run it on a tiny picture without rain, which must come back as it was."""
    import numpy as np

    from streamderain.conversion import planes_from_rgb
    from streamderain.frame import Colour
    from streamderain.inference.backend import takes_planes
    from streamderain.inference.create import create_backend
    from streamderain.inference.prior import Prior

    with create_backend(model, device, backend) as network:
        frame = _tiny(network.inputs)
        cleaned = network.run(frame)
        wrong = float(np.abs(cleaned.astype(int) - frame[..., :3]).mean())
        if takes_planes(network):
            coded = planes_from_rgb(frame[0, ..., :3], Colour())
            known = Prior(coded, np.full(coded.size, 255, np.uint8))
            (derained,) = network.run_planes([coded], [known])
            wrong = max(wrong, float(np.abs(derained.luma.astype(int) - coded.luma).mean()))
        if wrong > WRONG_LEVELS:
            raise ArithmeticError(
                f"a picture without rain came back {wrong:.0f} levels away from what it was"
            )
        share = None
        if network.device == "cuda" and "onnx" in network.runtime.lower():
            with contextlib.suppress(Exception):  # it only says more of what works
                share = share_on(CUDA, network.model, frame)
        return {**_told(network), "on_device": share}


def _tiny(channels: int) -> Frames:
    """Return a smooth picture, uint8 1×H×W×C; of seven channels, four say that its past was so."""
    import numpy as np

    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = np.stack([40 + 2 * x, 60 + 2 * y, 90 + x + y], axis=-1).astype(np.uint8)[None]
    certain = np.full((1, HEIGHT, WIDTH, 1), 255, np.uint8)
    both = np.concatenate([picture, picture, certain], axis=-1)
    return np.ascontiguousarray(both[..., :channels])


def _told(network: Backend) -> dict[str, Any]:
    return {
        "runs_on": network.device,
        "runtime": network.runtime,
        "notes": list(network.notes),
    }


def share_on(provider: str, info: ModelInfo, frame: Frames) -> float | None:
    """Return which share of a network's convolutions a provider of ONNX Runtime really runs.

    Args:
        provider: its name; what it doesn't take, the CPU's gets.
        info: of the network.
        frame: what it runs on.

    Returns:
        0 to 1, by ONNX Runtime's own profile; None where that tells of no convolutions.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as scratch:
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(scratch) / "profile")
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(info.path), options, providers=[provider])
        session.run(None, {session.get_inputs()[0].name: frame})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    nodes = [event["args"] for event in events if event.get("cat") == "Node"]
    ran_on = [
        node["provider"] for node in nodes if node.get("provider") and "Conv" in node["op_name"]
    ]
    return ran_on.count(provider) / len(ran_on) if ran_on else None


def _codecs(cuda: bool) -> dict[str, Any]:
    """Name the encoders that ``clean`` would try, and what FFmpeg has for hardware."""
    import av

    from streamderain.writers.encoders import CODECS, NVENC, encoder_names

    named = {codec: encoder_names(codec, cuda=cuda) for codec in CODECS}
    return {
        "encoders": [
            [codec, name, name in NVENC.values()] for codec in CODECS for name in named[codec]
        ],
        "without": [codec for codec in CODECS if not named[codec]],
        "hardware": sorted(name for name in av.codecs_available if name.endswith(HARDWARE)),
    }


def _encode(codec: str, name: str) -> dict[str, Any]:
    """Encode one frame."""
    from fractions import Fraction

    import av

    from streamderain.writers.encoders import encoder_options

    height, width = 144, 256  # NVENC takes nothing as tiny
    encoder = av.CodecContext.create(name, "w")
    if not isinstance(encoder, av.VideoCodecContext):
        raise TypeError(f"{name} encodes no video")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = encoder_options(name, codec, None, None)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts, frame.time_base = 0, encoder.time_base
    if not [*encoder.encode(frame), *encoder.encode(None)]:
        raise ValueError(f"{name} wrote nothing")
    return {}


def _decoders() -> dict[str, Any]:
    """Name the devices that FFmpeg was built for, of those that a configuration may ask for."""
    from av.codec.hwaccel import hwdevices_available

    asked = ("cuda", "vaapi", "qsv", "videotoolbox", "d3d11va")
    return {"devices": [name for name in hwdevices_available() if name in asked]}


def _decode(name: str) -> dict[str, Any]:
    """Open a device that decodes."""
    import av
    from av.codec.hwaccel import HWAccel

    HWAccel(device_type=name).create(av.Codec("h264", "r"))
    return {}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "import": _import,
    "models": _models,
    "run": _run,
    "codecs": _codecs,
    "encode": _encode,
    "decoders": _decoders,
    "decode": _decode,
}
"""What can be asked for."""
