"""What ``streamderain run`` says while it runs: lines on standard error, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["set_up_logging"]


class _Hiding(logging.Formatter):
    """Formats everything, tracebacks too, and then hides what must not be seen."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


def set_up_logging(hide: Callable[[str], str], level: int = logging.INFO) -> None:
    """Let everything that is logged go to standard error, with secrets hidden by ``hide``."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Hiding(hide))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("streamderain").setLevel(level)
