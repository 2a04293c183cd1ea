"""Looks at the hardware: text from the system in, values out. Imports nothing heavy."""

from __future__ import annotations

import csv
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from streamderain.doctor.snapshot import Gpu, Machine
from streamderain.hardware import cpu_features, cpu_name, usable_cores
from streamderain.source import hide_secrets

__all__ = [
    "cgroup_limits",
    "cuda_hidden",
    "has_nvidia_card",
    "look_at_machine",
    "memory_of",
    "parse_gpus",
]

UNLIMITED = 1 << 60
"""Bytes from which on a cgroup's limit is none; version 1 writes a huge number."""

NVIDIA = "0x10de"
"""The maker's number on the PCI bus."""

WSL_SMI = "/usr/lib/wsl/lib/nvidia-smi"
"""Where Windows' subsystem for Linux has it, which is not on every path."""

ASKED = ("name", "driver_version", "memory.total", "compute_cap")
"""Of nvidia-smi; old drivers don't know the last."""

SMI_S = 20.0
"""Seconds that nvidia-smi may take: it may have to start the driver."""

Read = Callable[[str], str | None]
"""Returns the text of a file, None where it can't be read."""


def look_at_machine() -> Machine:
    """Return what this machine has; what can't be found out is left out."""
    features, lacking = cpu_features(_read("/proc/cpuinfo") or "")
    cpus, limit = cgroup_limits(_read("/proc/self/cgroup") or "", _read)
    gpus, trouble = _ask_nvidia_smi()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        cpu_limit=cpus,
        memory=memory_of(_read("/proc/meminfo") or "") or _memory_of_pages(),
        memory_limit=limit,
        features=features,
        lacking=lacking,
        gpus=gpus,
        gpu_trouble=trouble,
        nvidia_card=has_nvidia_card(Path("/sys/bus/pci/devices")),
        cuda_hidden=cuda_hidden(os.environ),
    )


def memory_of(meminfo: str) -> int | None:
    """Return bytes of memory by the text of ``/proc/meminfo``, None where it doesn't say."""
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def cgroup_limits(groups: str, read: Read) -> tuple[float | None, int | None]:
    """Return CPUs and bytes that the process may use at most, None where nothing limits them.

    The tightest limit of the group and of all above it holds. In a container, the group's path may
    be the host's and not be there; then the root of what is mounted is the container's own.

    Args:
        groups: text of ``/proc/self/cgroup``.
        read: of files under ``/sys/fs/cgroup``.
    """
    cpus: list[float] = []
    memory: list[int] = []
    for line in groups.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        names = controllers.split(",")
        for folder in _upwards(f"/sys/fs/cgroup/{controllers}".rstrip("/"), path):
            if not controllers:
                cpus += _quota(*(read(f"{folder}/cpu.max") or "").split())
                memory += _bytes(read(f"{folder}/memory.max"))
            if "cpu" in names:
                quota, period = (
                    read(f"{folder}/cpu.cfs_{name}_us") for name in ("quota", "period")
                )
                cpus += _quota(quota or "", period or "")
            if "memory" in names:
                memory += _bytes(read(f"{folder}/memory.limit_in_bytes"))
    return min(cpus, default=None), min(memory, default=None)


def _upwards(mount: str, path: str) -> list[str]:
    parts = [part for part in path.split("/") if part and part != ".."]
    return ["/".join([mount, *parts[:count]]) for count in range(len(parts), -1, -1)]


def _quota(quota: str = "", period: str = "", *_: str) -> list[float]:
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or no such file
        return []
    return [share] if share > 0 else []


def _bytes(text: str | None) -> list[int]:
    number = (text or "").strip()
    return [int(number)] if number.isdigit() and int(number) < UNLIMITED else []


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs of nvidia-smi's answer to :data:`ASKED`, as CSV without head and units."""
    found = []
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) < 3:
            continue
        name, driver, memory, *rest = (cell.strip() for cell in row)
        found.append(
            Gpu(
                name=name,
                driver=driver,
                memory=int(memory) * 1024**2 if memory.isdigit() else None,
                capability=rest[0] if rest and rest[0][:1].isdigit() else None,
            )
        )
    return tuple(found)


def has_nvidia_card(devices: Path) -> bool:
    """Say whether a display controller from NVIDIA is among the PCI devices of a folder."""
    display = "0x03"
    try:
        return any(
            (device / "vendor").read_text().strip() == NVIDIA
            and (device / "class").read_text().startswith(display)
            for device in devices.iterdir()
        )
    except OSError:
        return False


def cuda_hidden(environment: Mapping[str, str]) -> bool:
    """Say whether an environment hides all GPUs from CUDA."""
    value = environment.get("CUDA_VISIBLE_DEVICES")
    return value is not None and value.split(",")[0].strip() in ("", "-1", "NoDevFiles", "none")


def _ask_nvidia_smi() -> tuple[tuple[Gpu, ...], str | None]:
    """Return the GPUs, or why there is no answer; neither where there is no nvidia-smi."""
    smi = shutil.which("nvidia-smi") or (WSL_SMI if Path(WSL_SMI).is_file() else None)
    if smi is None:
        return (), None
    said = ""
    for fields in (ASKED, ASKED[:-1]):
        try:
            done = subprocess.run(
                [smi, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"],
                capture_output=True, text=True, errors="replace", timeout=SMI_S, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return (), f"nvidia-smi did not answer within {SMI_S:.0f} seconds"
        except OSError as error:
            return (), f"nvidia-smi can't be started: {error.strerror}"
        if done.returncode == 0:
            return parse_gpus(done.stdout), None
        said = hide_secrets(" ".join((done.stdout + done.stderr).split())[:200])
    return (), f"nvidia-smi fails: {said}"


def _memory_of_pages() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
