"""What runtimes prepare, kept between runs in a folder of the user's; or not, and nothing is said.

``STREAMDERAIN_CACHE`` names another folder, or is ``off``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

__all__ = ["VARIABLE", "BlobCache", "cache_folder", "chosen_folder", "key_of"]

VARIABLE = "STREAMDERAIN_CACHE"

MOST_BYTES = 256 * 2**20
"""What a cache may take of the disk: some thirty compiled networks."""

SUFFIX, PART = ".blob", ".part"

PART_SECONDS = 3600.0
"""After which nobody is writing a part any more: whoever began it was killed."""


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


def key_of(*parts: object) -> str:
    """Return a name for what depends on these and on nothing else."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class BlobCache:
    """Bytes by their key, in files that are whole or not there.

    Each begins with the SHA-256 of the rest: what was damaged is none, and is written anew. What
    nobody asked for longest goes first when the cache is full. Several programs may share one.

    Args:
        folder: where it is; None for a cache that holds nothing.
        most_bytes: of all its files.
    """

    def __init__(self, folder: Path | None, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most = folder, most_bytes

    def load(self, key: str) -> bytes | None:
        """Return what was stored, or None."""
        if self._folder is None:
            return None
        path = self._folder / (key + SUFFIX)
        try:
            stored = path.read_bytes()
            size = hashlib.sha256().digest_size
            digest, data = stored[:size], stored[size:]
            if hashlib.sha256(data).digest() != digest:
                path.unlink()
                return None
            os.utime(path)
        except OSError:
            return None
        return data

    def store(self, key: str, data: bytes) -> None:
        """Keep bytes, if that can be done."""
        if self._folder is None or len(data) > self._most:
            return
        try:
            number, name = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=PART)
            try:
                with os.fdopen(number, "wb") as stream:
                    stream.write(hashlib.sha256(data).digest())
                    stream.write(data)
                Path(name).replace(self._folder / (key + SUFFIX))
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
            self._make_room()
        except OSError:  # it is only a cache
            return

    def _make_room(self) -> None:
        assert self._folder is not None
        for part in self._folder.glob(".*" + PART):
            with contextlib.suppress(OSError):  # another program was as quick
                if time.time() - part.stat().st_mtime > PART_SECONDS:
                    part.unlink()
        files = []
        for path in self._folder.glob("*" + SUFFIX):
            with contextlib.suppress(OSError):  # another program made room
                files.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most:
                return
            path.unlink(missing_ok=True)
            total -= size
