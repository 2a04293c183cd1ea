"""Judges what runs networks: runtimes, CUDA, and what ``clean`` and ``run`` take."""

from __future__ import annotations

import re
from collections.abc import Iterator

from streamderain.doctor.clashes import broken, runtime_packages
from streamderain.doctor.mending import (
    Finding,
    advice,
    install,
    note,
    own,
    problem,
    reinstall,
    replace,
)
from streamderain.doctor.packages import fits
from streamderain.doctor.snapshot import BACKENDS, Library, Need, Snapshot, Trial

__all__ = ["judge_runtimes"]

NEEDS_DRIVER = {11: 450, 12: 525, 13: 580}
"""The oldest driver that runs each CUDA on Linux."""

FIRST = ("numpy", "pydantic", "yaml")
"""Modules without which no network is even looked for."""


def judge_runtimes(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what keeps networks from running, or from running faster."""
    if any(lib.fate != "works" for lib in snapshot.libraries if lib.module in FIRST):
        return  # all of them fail, and none is to blame
    if not snapshot.models.files:
        return
    yield from _installed(snapshot)
    yield from _cuda(snapshot)
    yield from _pytorch(snapshot)


def _installed(snapshot: Snapshot) -> Iterator[Finding]:
    here = snapshot.installation
    there = {lib.module: lib for lib in snapshot.runtimes if _is_there(snapshot, lib)}
    fastest = "cuda" if snapshot.machine.gpus else "cpu,openvino"
    if not there:
        yield problem(
            "runtime",
            "No runtime is installed, so no network can be run.",
            install(here, own(here, fastest)),
        )
        return
    for library in there.values():
        yield from _broken(snapshot, library)
    if there.keys() == {"torch"}:
        yield problem(
            "runtime",
            "PyTorch is the only runtime; it is taken with --backend torch alone.",
            install(here, own(here, fastest)),
        )
    works = all(trial.fate == "works" for trial in snapshot.defaults)
    on_cpu = works and all(trial.runs_on == "cpu" for trial in snapshot.defaults)
    built_for_gpu = "onnxruntime-gpu" in snapshot.packages  # goes before OpenVINO
    if on_cpu and "openvino" not in there and not (snapshot.machine.gpus or built_for_gpu):
        yield advice(
            "openvino",
            "OpenVINO isn't installed; on CPUs it is the faster runtime.",
            install(here, own(here, "openvino")),
        )


def _is_there(snapshot: Snapshot, library: Library) -> bool:
    return library.fate != "missing" or library.package in snapshot.packages


def _broken(snapshot: Snapshot, library: Library) -> Iterator[Finding]:
    """Yield why a runtime that is installed runs nothing on the CPU."""
    works = all(trial.fate == "works" for trial in snapshot.defaults)
    make = advice if works or library.module == "torch" else problem
    trial, plain = (
        snapshot.trial(backend, "cpu") for backend in (BACKENDS[library.module], "onnx")
    )
    rest = " The others do the work." if works else ""
    stands_alone = plain is not None and plain.fate == "works" and trial is not plain
    if make is problem and stands_alone and library.hidden_by is None:
        rest = (
            " Should that not help, ONNX Runtime does the work without it: "
            f"{snapshot.installation.uninstall} {library.package}"
        )
    if library.module == "onnxruntime" and len(runtime_packages(snapshot)) > 1:
        return  # the clash says so
    if library.fate != "works":
        text, command = broken(snapshot, library)
        yield make(library.package, text + rest, command)
    elif library.module == "torch" and "safetensors" not in snapshot.packages:
        yield note(
            "torch",
            "PyTorch is installed without safetensors, which --backend torch needs.",
            install(snapshot.installation, "safetensors"),
        )
    elif trial is not None and trial.fate == "fails" and ".safetensors" in trial.trouble:
        here = snapshot.installation
        yield make(
            library.package,
            f"The weights for {library.name} and streamderain's own code don't belong together "
            f"({trial.trouble.rstrip('.')}).{rest}",
            None if here.git else install(here, here.origin, options="--force-reinstall --no-deps"),
        )
    elif trial is not None and trial.fate != "works":
        yield make(
            library.package,
            f"{library.name} is installed, but {_fate(trial)}.{rest}",
            reinstall(snapshot, library),
        )


def _fate(trial: Trial) -> str:
    how = {"crashes": "crashes on a network", "hangs": "hangs on a network"}
    return f"{how.get(trial.fate, 'runs no network')} ({trial.trouble.rstrip('.')})"


def _cuda(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield why the GPU isn't used."""
    here, machine = snapshot.installation, snapshot.machine
    yield from _driver(snapshot)
    installed = "onnxruntime-gpu" in snapshot.packages
    if not machine.gpus:
        card = machine.gpu_trouble or machine.nvidia_card
        if installed and not card and len(runtime_packages(snapshot)) == 1:
            yield advice(
                "onnxruntime-gpu",
                "onnxruntime-gpu is installed, and no NVIDIA GPU is here: it takes the place of "
                "OpenVINO, which is faster on CPUs.",
                replace(here, ["onnxruntime-gpu"], own(here, "cpu,openvino")),
            )
        return
    if machine.cuda_hidden:
        yield advice("CUDA", "CUDA_VISIBLE_DEVICES hides the GPU.", "unset CUDA_VISIBLE_DEVICES")
        return
    if not installed:
        if any(lib.fate == "works" for lib in snapshot.runtimes):
            old = runtime_packages(snapshot)
            wanted = own(here, "cuda")
            yield advice(
                "CUDA",
                "An NVIDIA GPU is here, and nothing that uses it.",
                replace(here, old, wanted) if old else install(here, wanted),
            )
        return
    if len(runtime_packages(snapshot)) == 1:
        yield from _onnx_on_cuda(snapshot)


def _onnx_on_cuda(snapshot: Snapshot) -> Iterator[Finding]:
    here, trial = snapshot.installation, snapshot.trial("onnx", "cuda")
    library = snapshot.runtime("onnxruntime")
    if library is None or library.fate != "works":
        return  # said already
    if trial is not None and trial.fate == "works" and trial.runs_on == "cuda":
        if trial.on_device is not None and trial.on_device < 1:
            yield advice(
                "CUDA",
                f"CUDA runs, but {1 - trial.on_device:.0%} of the network's convolutions stay on "
                "the CPU.",
                reinstall(snapshot, library),
            )
        return
    parts = _cuda_parts(snapshot)
    absent = [str(need) for need in parts if not _met(snapshot, need)]
    driver = _driver_for(parts)
    too_old = [
        gpu.driver for gpu in snapshot.machine.gpus if driver and _major(gpu.driver) < driver
    ]
    if absent:
        yield problem(
            "CUDA",
            f"onnxruntime-gpu is installed without the libraries of CUDA that it needs: "
            f"{', '.join(absent)}.",
            install(here, own(here, "cuda")),
        )
    elif too_old:
        yield problem(
            "CUDA",
            f"NVIDIA's driver {too_old[0]} is too old for the CUDA that is installed; update it to "
            f"{driver} or newer.",
        )
    else:
        how = "it is built without CUDA" if trial is None else _fate(trial)
        yield problem(
            "CUDA",
            f"onnxruntime-gpu doesn't run on the GPU: {how}.",
            replace(here, ["onnxruntime-gpu"], own(here, "cuda")),
        )


def _cuda_parts(snapshot: Snapshot) -> list[Need]:
    """Return the libraries of CUDA that this onnxruntime-gpu names as its extras."""
    return [
        need
        for need in snapshot.needs
        if need.owner == "onnxruntime-gpu" and {"cuda", "cudnn"}.intersection(need.extras)
    ]


def _met(snapshot: Snapshot, need: Need) -> bool:
    version = snapshot.packages.get(need.name)
    return version is not None and fits(version, need.specifier)


def _driver_for(parts: list[Need]) -> int | None:
    """Return the oldest driver that runs the CUDA of an onnxruntime-gpu, None if nobody knows."""
    for need in parts:
        if need.name.startswith("nvidia-cuda-runtime"):
            number = re.search(r"cu(\d+)$", need.name) or re.search(r"(\d+)", need.specifier)
            return NEEDS_DRIVER.get(int(number[1])) if number else None
    return None


def _major(version: str) -> int:
    number = re.match(r"\d+", version)
    return int(number[0]) if number else 0


def _driver(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what is wrong between the driver and its card."""
    machine = snapshot.machine
    if machine.gpus:
        return
    if machine.gpu_trouble:
        yield advice(
            "driver",
            f"NVIDIA's driver doesn't answer ({machine.gpu_trouble}); until it does, the CPU does "
            "all the work.",
        )
    elif machine.nvidia_card:
        yield note(
            "driver",
            "An NVIDIA card is in this machine, but can't be used from here: its driver has to be "
            "installed, or the container started with --gpus all.",
        )


def _pytorch(snapshot: Snapshot) -> Iterator[Finding]:
    library = snapshot.runtime("torch")
    if library is None or library.fate != "works":
        return
    built = any(detail.startswith("built for CUDA") for detail in library.details)
    if built and not snapshot.machine.gpus:
        yield note("torch", "PyTorch is built for CUDA and finds no GPU: that only takes room.")
    elif snapshot.machine.gpus and not snapshot.machine.cuda_hidden:
        trial = snapshot.trial("torch", "cuda")
        if built and trial is not None and trial.fate != "works":
            yield advice("torch", f"PyTorch doesn't run on the GPU: {_fate(trial)}.")
        elif "finds a GPU" not in library.details:
            yield note(
                "torch",
                "PyTorch doesn't use the GPU: "
                + ("it finds none." if built else "it is built without CUDA."),
            )
