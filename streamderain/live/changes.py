"""A number that grows with every change, to wait for."""

from __future__ import annotations

import threading

__all__ = ["Changes"]


class Changes:
    """Counts changes, for those who show them.

    Example::

        seen = changes.count
        while running:
            show()
            seen = changes.wait(seen, timeout=1.0)
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._over = False

    @property
    def count(self) -> int:
        """How many changes there were."""
        return self._count

    def note(self) -> None:
        """Count one more."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, newer_than: int, timeout: float) -> int:
        """Wait for a change after those seen, at most ``timeout`` seconds; return the count."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._count > newer_than, timeout)
            return self._count

    def end(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
