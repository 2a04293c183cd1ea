"""Looks at everything, and tries what can be tried."""

from __future__ import annotations

from collections.abc import Callable

from streamderain.defaults import LIVE_MODEL, PICTURE_MODEL, VIDEO_MODEL
from streamderain.doctor.machine import look_at_machine
from streamderain.doctor.packages import (
    ONNX_RUNTIMES,
    OPENCVS,
    file_that_hides,
    find_installation,
    find_needs,
    find_packages,
)
from streamderain.doctor.snapshot import (
    BACKENDS,
    Encoder,
    Library,
    ModelFile,
    Models,
    Snapshot,
    Trial,
)
from streamderain.doctor.trying import Outcome, Task, run_tasks

__all__ = ["CLEAN_PICTURES", "CLEAN_VIDEOS", "RUN", "examine"]

LIBRARIES = (
    ("NumPy", "numpy", "numpy"),
    ("PyAV", "av", "av"),
    ("OpenCV", "cv2", "opencv-python-headless"),
    ("pyzmq", "zmq", "pyzmq"),
    ("Pydantic", "pydantic", "pydantic"),
    ("PyYAML", "yaml", "pyyaml"),
)
"""Without which nothing works: name, module, package."""

RUNTIMES = (
    ("ONNX Runtime", "onnxruntime", "onnxruntime"),
    ("OpenVINO", "openvino", "openvino"),
    ("PyTorch", "torch", "torch"),
)
"""Of networks, the like."""

CLEAN_VIDEOS, CLEAN_PICTURES, RUN = "clean, videos", "clean, pictures", "run"
"""What networks are taken for."""

DEFAULTS = {CLEAN_VIDEOS: VIDEO_MODEL, CLEAN_PICTURES: PICTURE_MODEL, RUN: LIVE_MODEL}

CUDA = "CUDAExecutionProvider"


def examine(tell: Callable[[str], None] = lambda _: None) -> Snapshot:
    """Return what is here and what of it works; takes some seconds.

    Args:
        tell: is told what comes next, in a few words.
    """
    tell("the machine")
    installation, machine = find_installation(), look_at_machine()
    tell("the packages")
    packages, doubled = find_packages()
    needs, ranges_known = find_needs()
    libraries = _libraries(packages)
    tell("the networks")
    models, cheapest = _models()
    runtimes: list[Library] = []
    trials: list[Trial] = []
    for name, module, package in RUNTIMES:
        tell(name)
        found, tried = _try_runtime(name, module, _package_of(package, packages), cheapest)
        runtimes.append(found)
        trials += tried
    tell("what clean and run take")
    trials += _try_defaults()
    tell("the encoders of videos")
    encoders, hardware = _encoders(cuda=bool(machine.gpus))
    return Snapshot(
        installation=installation,
        machine=machine,
        packages=packages,
        doubled=doubled,
        needs=needs,
        ranges_known=ranges_known,
        libraries=libraries,
        runtimes=tuple(runtimes),
        trials=tuple(trials),
        models=models,
        encoders=encoders,
        hardware_codecs=hardware,
        decoding=_decoders(),
    )


def _package_of(package: str, packages: dict[str, str]) -> str:
    """Return which package a module comes from, where several bring it."""
    alike = next((names for names in (ONNX_RUNTIMES, OPENCVS) if package in names), ())
    return next((name for name in (package, *alike) if name in packages), package)


def _libraries(packages: dict[str, str]) -> tuple[Library, ...]:
    tasks = [_import(module) for _, module, _ in LIBRARIES]
    return tuple(
        _library(name, module, _package_of(package, packages), outcome)
        for (name, module, package), outcome in zip(LIBRARIES, run_tasks(tasks), strict=True)
    )


def _import(module: str) -> Task:
    return {"do": "import", "module": module}


def _library(name: str, module: str, package: str, outcome: Outcome) -> Library:
    return Library(
        name=name,
        module=module,
        package=package,
        fate=outcome.fate,
        version=outcome.facts.get("version"),
        trouble=outcome.trouble,
        hidden_by=None if outcome.fate == "works" else file_that_hides(module, package),
        details=tuple(outcome.facts.get("details", ())),
    )


def _models() -> tuple[Models, str | None]:
    """Return the shipped networks, and the one that costs least."""
    (outcome,) = run_tasks([{"do": "models"}])
    if outcome.fate != "works":
        return Models(folder="", trouble=outcome.trouble), None
    files = tuple(ModelFile(name, trouble) for name, trouble in outcome.facts["files"].items())
    return Models(outcome.facts["folder"], files), outcome.facts["cheapest"]


def _try_runtime(
    name: str, module: str, package: str, model: str | None
) -> tuple[Library, list[Trial]]:
    """Import a runtime and run a network in it, on the CPU and on CUDA where it claims that."""
    backend = BACKENDS[module]
    (imported,) = run_tasks([_import(module)])
    found = _library(name, module, package, imported)
    if found.fate != "works" or model is None:
        return found, []
    asked = ["cpu"]
    if module != "openvino" and (CUDA in found.details or "finds a GPU" in found.details):
        asked.append("cuda")
    tasks = [_run(model, device, backend) for device in asked]
    return found, [
        _trial(task, outcome) for task, outcome in zip(tasks, run_tasks(tasks), strict=True)
    ]


def _try_defaults() -> list[Trial]:
    tasks = [_run(model, "auto", "auto") for model in DEFAULTS.values()]
    return [
        _trial(task, outcome, uses)
        for uses, task, outcome in zip(DEFAULTS, tasks, run_tasks(tasks), strict=True)
    ]


def _run(model: str, device: str, backend: str) -> Task:
    return {"do": "run", "model": model, "device": device, "backend": backend}


def _trial(task: Task, outcome: Outcome, uses: str = "") -> Trial:
    facts = outcome.facts
    return Trial(
        model=task["model"],
        backend=task["backend"],
        device=task["device"],
        uses=uses,
        fate=outcome.fate,
        trouble=outcome.trouble,
        runs_on=facts.get("runs_on", ""),
        runtime=facts.get("runtime", ""),
        notes=tuple(facts.get("notes", ())),
        on_device=facts.get("on_device"),
    )


def _encoders(*, cuda: bool) -> tuple[tuple[Encoder, ...], tuple[str, ...]]:
    """Return the encoders that ``clean`` would try, tried, and what FFmpeg has for hardware."""
    (outcome,) = run_tasks([{"do": "codecs", "cuda": cuda}])
    if outcome.fate != "works":
        return (), ()
    named = outcome.facts["encoders"]
    tried = run_tasks([{"do": "encode", "codec": codec, "name": name} for codec, name, _ in named])
    encoders = [
        Encoder(codec, name, hardware, result.fate, result.trouble)
        for (codec, name, hardware), result in zip(named, tried, strict=True)
    ]
    encoders += [
        Encoder(codec, "", fate="missing", trouble="FFmpeg has no encoder for it")
        for codec in outcome.facts["without"]
    ]
    return tuple(encoders), tuple(outcome.facts["hardware"])


def _decoders() -> tuple[str, ...]:
    """Return the devices that really decode."""
    (outcome,) = run_tasks([{"do": "decoders"}])
    names = outcome.facts.get("devices", [])
    tried = run_tasks([{"do": "decode", "name": name} for name in names])
    return tuple(name for name, result in zip(names, tried, strict=True) if result.fate == "works")
