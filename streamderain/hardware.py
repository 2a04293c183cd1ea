"""What the processor is called and how much of it is ours. Loads nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = [
    "codec_threads",
    "cpu_features",
    "cpu_name",
    "features_here",
    "leave_cores_to_stages",
    "usable_cores",
]

MAX_CODEC_THREADS = 8
"""Each thread of a codec holds a few frames; more of them don't make the pipeline faster."""

X86 = {
    "AVX2": "avx2",
    "AVX-512": "avx512f",
    "AVX512-VNNI": "avx512_vnni",
    "AVX-VNNI": "avx_vnni",
    "AVX512-BF16": "avx512_bf16",
    "AMX-BF16": "amx_bf16",
    "AMX-INT8": "amx_int8",
}
ARM = {"NEON": "asimd", "dotprod": "asimddp", "i8mm": "i8mm", "BF16": "bf16", "SVE": "sve"}
"""What networks are fast with, and what Linux calls it."""


def cpu_name() -> str:
    """Return what the processor calls itself."""
    try:
        for line in (
            Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
        ):
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_features(cpuinfo: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which features a processor has and which of its kind it lacks.

    Args:
        cpuinfo: text of ``/proc/cpuinfo``; both are empty where it doesn't say.
    """
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        names = {"flags": X86, "Features": ARM}.get(key.strip())
        if names is not None:
            flags = set(value.split())
            has = tuple(name for name, flag in names.items() if flag in flags)
            return has, tuple(name for name in names if name not in has)
    return (), ()


def features_here() -> frozenset[str]:
    """Return this processor's features; none where it can't be found out (only Linux tells)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    return frozenset(cpu_features(text)[0])


def usable_cores() -> int:
    """Return how many cores the process may use, which is not how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def codec_threads() -> int:
    """Return how many threads a decoder or an encoder has: half of the cores, 8 at most.

    Each stage has a thread of its own already, and frames that several threads decode or encode at
    once take more CPU time: measured with H.264 at 720p on two cores, 1.05 to 1.3 times as much.
    """
    return max(1, min(MAX_CODEC_THREADS, usable_cores() // 2))


def leave_cores_to_stages() -> None:
    """Let OpenCV work in the thread that calls it, for the whole process.

    Readers, networks, writers and cameras have threads of their own, as many as there are cores to
    keep busy; a pool beneath each call only makes them wait for one another. Measured on two cores:
    a tenth of the CPU time of what OpenCV does.
    """
    import cv2

    cv2.setNumThreads(1)
