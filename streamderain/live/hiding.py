"""A configuration as plain data that may be shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from streamderain.config import RunConfig
from streamderain.source import HIDDEN, hide_secrets

__all__ = ["plain_config"]

SECRET = re.compile(r"user|password|passwd|pwd|token|secret", re.IGNORECASE)
"""Keys whose values are never shown."""

PATHS = ("secret_key",)
"""Keys that sound like it, but hold the path of a file."""


def plain_config(config: RunConfig, hide: Callable[[str], str] = hide_secrets) -> dict[str, Any]:
    """Return a configuration as data for JSON or YAML, every camera with all its keys.

    Args:
        config: effective.
        hide: returns a text without known secrets.
    """
    data = config.model_dump(mode="json")
    data["cameras"] = {name: config.camera(name).model_dump(mode="json") for name in config.cameras}
    found = _hidden(data, hide)
    assert isinstance(found, dict)
    return found


def _hidden(value: Any, hide: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, dict):
        return {inner: _hidden(each, hide, inner) for inner, each in value.items()}
    if isinstance(value, list):
        return [_hidden(each, hide, key) for each in value]
    if not isinstance(value, str):
        return value
    if SECRET.search(key) and key not in PATHS:
        return HIDDEN
    return hide(value)
