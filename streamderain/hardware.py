"""What the processor is called and how much of it is ours. Loads nothing."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["cpu_name", "usable_cores"]


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


def usable_cores() -> int:
    """Return how many cores the process may use, which is not how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
