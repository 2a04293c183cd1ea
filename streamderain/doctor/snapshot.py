"""What was found on a machine, as plain values: no library is needed to hold or to judge it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "BACKENDS",
    "Encoder",
    "Fate",
    "Gpu",
    "Installation",
    "Library",
    "Machine",
    "ModelFile",
    "Models",
    "Need",
    "Snapshot",
    "Trial",
]

Fate = Literal["works", "missing", "fails", "crashes", "hangs"]
"""What became of something that was tried."""

BACKENDS = {"onnxruntime": "onnx", "openvino": "openvino", "torch": "torch"}
"""What the command line calls a runtime, by its module."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA GPU that its driver knows.

    Attributes:
        name: as the driver has it.
        driver: the driver's version.
        memory: bytes, or None where the driver doesn't say.
        capability: compute capability, such as ``8.9``, or None.
    """

    name: str
    driver: str
    memory: int | None = None
    capability: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """The hardware, and what of it is ours.

    Attributes:
        system: operating system and architecture.
        cpu: what the processor calls itself.
        cores: that the machine has.
        usable_cores: that this process may use.
        cpu_limit: CPUs' worth of time that the cgroup grants, or None without a limit.
        memory: bytes, or None where the system doesn't say.
        memory_limit: bytes that the cgroup grants, or None without a limit.
        features: of the processor, those that make networks fast.
        lacking: those of its kind that it hasn't.
        gpus: from NVIDIA.
        gpu_trouble: why nvidia-smi doesn't answer, where it is there.
        nvidia_card: whether a card from NVIDIA is on the bus, driver or not.
        cuda_hidden: whether ``CUDA_VISIBLE_DEVICES`` hides all GPUs.
    """

    system: str
    cpu: str
    cores: int
    usable_cores: int
    cpu_limit: float | None = None
    memory: int | None = None
    memory_limit: int | None = None
    features: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    gpu_trouble: str | None = None
    nvidia_card: bool = False
    cuda_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Installation:
    """How streamderain came here, and how packages come and go.

    Attributes:
        version: of the program that runs.
        metadata_version: that its metadata names, or None where it isn't installed.
        checkout: the folder of the checkout that it runs from, or None.
        git: whether git knows that folder, and what its files should be.
        origin: what pip takes to install it again: a folder, or its name.
        python: Python's version.
        executable: Python's path.
        install, uninstall: how packages are installed and removed in this environment.
    """

    version: str
    metadata_version: str | None
    checkout: str | None
    git: bool
    origin: str
    python: str
    executable: str
    install: str = "pip install"
    uninstall: str = "pip uninstall -y"


@dataclass(frozen=True, slots=True)
class Need:
    """A line of a package's metadata that applies here.

    Attributes:
        owner: the package that asks.
        name: of the package that is asked for.
        specifier: versions that will do, such as ``<19,>=18``; empty for any.
        extras: of ``owner``, which ask for it; empty where it is always needed.
        with_extras: extras of ``name`` that are asked for.
    """

    owner: str
    name: str
    specifier: str = ""
    extras: tuple[str, ...] = ()
    with_extras: tuple[str, ...] = ()

    def __str__(self) -> str:
        extras = f"[{','.join(self.with_extras)}]" if self.with_extras else ""
        return f"{self.name}{extras}{self.specifier}"


@dataclass(frozen=True, slots=True)
class Library:
    """A module that was imported in a process of its own.

    Attributes:
        name: what people call it.
        module: its name in Python.
        package: the package that it comes from.
        fate: what became of the import.
        version: that it gives itself.
        trouble: why it can't be imported.
        hidden_by: a file of another place that is imported in its stead, or None.
        details: what else there is to know of it, a few words each.
    """

    name: str
    module: str
    package: str
    fate: Fate = "missing"
    version: str | None = None
    trouble: str = ""
    hidden_by: str | None = None
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """A network that was loaded and run on a tiny frame in a process of its own.

    Attributes:
        model: the network's name.
        backend, device: that were asked for.
        uses: what the network is taken for by default; empty where it isn't.
        fate: what became of it.
        trouble: why it doesn't work.
        runs_on: the device that it really ran on.
        runtime: what ran it, with its version.
        notes: what the backend has to say.
        on_device: of its convolutions, the share that ran on the GPU; None where nobody looked.
    """

    model: str
    backend: str
    device: str
    uses: str = ""
    fate: Fate = "works"
    trouble: str = ""
    runs_on: str = ""
    runtime: str = ""
    notes: tuple[str, ...] = ()
    on_device: float | None = None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A shipped network; ``trouble`` says what is wrong with its files, if anything is."""

    name: str
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Models:
    """The shipped networks, where they are, and why nobody could look, if so."""

    folder: str
    files: tuple[ModelFile, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Encoder:
    """A video encoder that wrote a frame, or didn't.

    Attributes:
        codec: what it makes.
        name: FFmpeg's name of it.
        hardware: whether a GPU does it.
        fate, trouble: what became of it.
    """

    codec: str
    name: str
    hardware: bool = False
    fate: Fate = "works"
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it.

    Attributes:
        installation: of streamderain.
        machine: the hardware.
        packages: versions of all installed packages, by their names in lower case with hyphens.
        doubled: packages that are there twice, with the versions.
        needs: what streamderain and the packages around it ask for.
        ranges_known: whether ``packaging`` was there to read the metadata with.
        libraries: without which nothing works.
        runtimes: of networks, the like.
        trials: of networks in those runtimes, and with what would be taken by default.
        models: the shipped networks.
        encoders: of videos.
        hardware_codecs: encoders and decoders for hardware that FFmpeg was built with.
        decoding: devices that really decode, by FFmpeg's names.
    """

    installation: Installation
    machine: Machine
    packages: dict[str, str] = field(default_factory=dict)
    doubled: dict[str, tuple[str, ...]] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    ranges_known: bool = True
    libraries: tuple[Library, ...] = ()
    runtimes: tuple[Library, ...] = ()
    trials: tuple[Trial, ...] = ()
    models: Models = field(default_factory=lambda: Models(""))
    encoders: tuple[Encoder, ...] = ()
    hardware_codecs: tuple[str, ...] = ()
    decoding: tuple[str, ...] = ()

    def runtime(self, module: str) -> Library | None:
        """Return the runtime of a module."""
        return next((found for found in self.runtimes if found.module == module), None)

    def trial(self, backend: str, device: str) -> Trial | None:
        """Return the trial of a backend on a device."""
        wanted = (backend, device)
        return next(
            (found for found in self.trials if (found.backend, found.device) == wanted), None
        )

    @property
    def defaults(self) -> tuple[Trial, ...]:
        """What ``clean`` and ``run`` take unless told otherwise."""
        return tuple(trial for trial in self.trials if trial.uses)
