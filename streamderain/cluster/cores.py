"""Cores of a machine for a worker of its own: Ray counts them, but leaves them to everybody."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

__all__ = ["Cores"]


class Cores:
    """Some of a machine's cores, which no other of us takes until this process ends.

    Runtimes, decoders and encoders start as many threads as a process may use cores; eight workers
    with as many threads as there are cores each would only wait for one another.

    Args:
        count: how many; where there aren't more, or none are left, all cores are used.
        folder: where the locks are; None for one among the temporary files.
        cores: to choose from; None for those that this process may use.

    Attributes:
        taken: the cores, or none where all are used.
    """

    def __init__(
        self, count: int, folder: Path | None = None, cores: Collection[int] | None = None
    ) -> None:
        self.taken: tuple[int, ...] = ()
        self._held: list[int] = []
        if sys.platform != "linux":
            return
        usable = sorted(os.sched_getaffinity(0) if cores is None else cores)
        if count < 1 or count >= len(usable):
            return
        folder = folder or Path(tempfile.gettempdir()) / f"streamderain-cores-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = [
                core for core in usable if len(self._held) < count and self._take(folder, core)
            ]
        except OSError:
            found = []
        if len(found) == count:
            self.taken = tuple(found)
        else:
            self.close()

    def use(self) -> None:
        """Keep the calling thread, and those that it begins from now on, to these cores."""
        if self.taken and sys.platform == "linux":
            os.sched_setaffinity(0, self.taken)

    def close(self) -> None:
        """Leave them to others; harmless twice."""
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()
        self.taken = ()

    def _take(self, folder: Path, core: int) -> bool:
        import fcntl

        descriptor = os.open(folder / str(core), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._held.append(descriptor)
        return True
