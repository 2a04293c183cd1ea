"""Where what runtimes prepare is kept between runs: a folder of the user's, or none.

``STREAMDERAIN_CACHE`` names another folder, or is ``off``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["VARIABLE", "cache_folder", "chosen_folder"]

VARIABLE = "STREAMDERAIN_CACHE"


def chosen_folder(environment: Mapping[str, str], platform: str, home: Path) -> Path | None:
    """Return where the cache belongs, None where it is turned off. Pure.

    Args:
        environment: of the process.
        platform: as ``sys.platform``.
        home: of the user.
    """
    named = environment.get(VARIABLE)
    if named is not None:
        return None if named.lower() in ("", "0", "off", "no") else Path(named)
    if platform == "win32":
        local = environment.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "streamderain" / "cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "streamderain"
    base = environment.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    return (Path(base) if base.startswith("/") else home / ".cache") / "streamderain"


def cache_folder(name: str) -> Path | None:
    """Return a folder of the cache, made if need be; None where there can't be one."""
    try:
        chosen = chosen_folder(os.environ, sys.platform, Path.home())
        if chosen is None:
            return None
        folder = chosen / name
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # no permission, no room; no home
        return None
    return folder if os.access(folder, os.W_OK) else None
