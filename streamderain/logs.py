"""What ``streamderain run`` says while it runs: lines on standard error, without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from streamderain.errors import UsageError

__all__ = ["LogFormat", "extras", "log_format", "set_up_logging"]

LogFormat = Literal["text", "json"]

PLAIN = frozenset([*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"])
"""What every record has; the rest was given as ``extra`` and goes into the JSON."""


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was given with a record as ``extra``.

    Libraries that make records of their own, as Ray does, put things into them that are nobody
    else's; their names begin with an underscore.
    """
    found = vars(record).items()
    return {key: value for key, value in found if key not in PLAIN and not key.startswith("_")}


def log_format(name: str) -> LogFormat:
    """Return a format by its name.

    Raises:
        UsageError: there is none.
    """
    for known in get_args(LogFormat):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"the format of logs is text or json, not {name!r}")


class _Hiding(logging.Formatter):
    """Formats everything, tracebacks too, and then hides what must not be seen."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        return self._hide(super().format(record))


class _Json(logging.Formatter):
    """An object a line: time, level, logger, message, what was given as extra, and the traceback.

    Secrets are hidden before a text becomes JSON: in it, they could be written otherwise.
    """

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        said: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._hide(record.getMessage()),
        }
        for key, value in extras(record).items():
            said[key] = self._hidden(value)
        if record.exc_info:
            said["traceback"] = self._hide(self.formatException(record.exc_info))
        return json.dumps(said, default=lambda value: self._hide(str(value)))

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._hide(value)
        if isinstance(value, dict):
            return {str(key): self._hidden(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._hidden(inner) for inner in value]
        return value


def set_up_logging(
    hide: Callable[[str], str], level: int = logging.INFO, *, log_format: LogFormat = "text"
) -> None:
    """Let everything that is logged go to standard error, with secrets hidden by ``hide``."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json(hide) if log_format == "json" else _Hiding(hide))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("streamderain").setLevel(level)
