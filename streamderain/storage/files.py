"""Files in stores: looked at, fetched whole, delivered whole or not at all; through fsspec.

The packages for object stores try again by themselves, several times; for the others that is done
here, three times in all.
"""

from __future__ import annotations

import datetime
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from streamderain.errors import OutputError, UsageError
from streamderain.storage.address import WEB, RemotePath
from streamderain.storage.errors import (
    Trouble,
    explain,
    is_passing,
    missing_package,
    tells_secrets,
    trouble_of,
)

__all__ = ["FileInfo", "Store", "check_schemes"]

TRIES, FIRST_PAUSE_S = 3, 1.0

WHOLE = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"}
)  # fmt: skip
"""Stores where an object appears under its name when all of it is there, and not before."""

CREATING: Mapping[str, Mapping[str, object]] = {
    **{scheme: {"mode": "create"} for scheme in ("s3", "s3a", "gs", "gcs")},
    **{scheme: {"overwrite": False} for scheme in ("az", "abfs", "abfss", "adl")},
}
"""How stores are asked to write an object only where there is none."""

EXCLUSIVE = {"sftp": "wxb", "ssh": "wxb"}
"""How a file is opened that must not exist, where it isn't ``xb``."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a store knows of a file.

    Attributes:
        bytes: its size, or None where the store doesn't say.
        modified_ns: when it was last changed, nanoseconds since 1970, to the second; 0 where it
            doesn't say.
        version: whatever else tells one content from another, as an ETag; may be empty.
    """

    bytes: int | None
    modified_ns: int
    version: str


class Store:
    """The store of one place.

    Args:
        place: a file or folder in it; the methods take others of the same bucket or host.
        sleep: waits so many seconds before something is tried again.

    Raises:
        UsageError: a package is missing, or the kind of address isn't known.
    """

    def __init__(self, place: RemotePath, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self.scheme = place.scheme
        try:
            import fsspec
        except ImportError:
            raise missing_package(place.scheme) from None
        try:
            fsspec.get_filesystem_class(place.scheme)
        except (ImportError, ValueError) as error:
            raise missing_package(place.scheme, error) from error
        self._fs: Any = None

    def info(self, place: RemotePath) -> FileInfo | None:
        """Return what is known of a file, or None where there is none of that name.

        Raises:
            InputError: the store can't be asked.
        """
        found = self._info(place)
        if found is None or found.get("type") == "directory":
            return None
        times = ("LastModified", "mtime", "updated", "last_modified", "modified", "created")
        version = next((found[key] for key in ("ETag", "etag", "md5Hash") if found.get(key)), "")
        size = found.get("size")
        return FileInfo(
            bytes=None if size is None else int(size),
            modified_ns=next((ns for key in times if (ns := _nanoseconds(found.get(key)))), 0),
            version=str(version),
        )

    def is_folder(self, place: RemotePath) -> bool:
        """Say whether this is a folder: something is below it, or the store says so.

        Raises:
            InputError: the store can't be asked.
        """
        if self.scheme in WEB:
            return False
        found = self._info(place)
        return found is not None and found.get("type") == "directory"

    def below(self, folder: RemotePath) -> list[RemotePath]:
        """Return all files below a folder, in no order.

        Raises:
            InputError: the store can't be asked.
        """

        def find() -> list[str]:
            self._fs.invalidate_cache()
            return list(self._fs.find(self._path(folder)))

        return self._places(folder, self._read(folder, find))

    def matching(self, pattern: RemotePath) -> list[RemotePath]:
        """Return what matches a pattern with ``*``, ``?`` and ``[]``, files and folders, sorted.

        Raises:
            InputError: the store can't be asked.
        """

        def find() -> list[str]:
            self._fs.invalidate_cache()
            return sorted(self._fs.glob(self._path(pattern)))

        return self._places(pattern.literal, self._read(pattern, find))

    def fetch(self, place: RemotePath, path: Path) -> None:
        """Copy a file of the store to this machine, whole or not at all.

        Raises:
            InputError: it is missing, can't be read, or comes out shorter than the store says.
            OutputError: the disk here is full.
        """
        known = self.info(place)

        def get() -> None:
            self._fs.get_file(self._path(place), str(path))
            found = path.stat().st_size
            if known is not None and known.bytes not in (None, found):
                raise TimeoutError(f"{found} of {known.bytes} bytes came")

        try:
            self._read(place, get, local=path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def deliver(self, path: Path, place: RemotePath, *, overwrite: bool) -> None:
        """Copy a file of this machine to a store; its name appears when all of it is there.

        Args:
            path: the file.
            place: its name in the store.
            overwrite: replace what is there.

        Raises:
            OutputError: it exists, or can't be written.
        """
        if not overwrite and self.info(place) is not None:
            raise explain(FileExistsError(), place, writing=True)
        if self.scheme in WHOLE:
            kept = {} if overwrite else CREATING.get(self.scheme, {})
            self._write(
                place, lambda: self._fs.put_file(str(path), self._path(place), **kept), local=path
            )
            self._check_size(path, place, place)
            return
        part = place.with_name(f".{place.name}.part-{secrets.token_hex(4)}")
        try:
            self._write(place, lambda: self._fs.put_file(str(path), self._path(part)), local=path)
            self._check_size(path, part, place)
            if not overwrite and self.info(place) is not None:
                raise explain(FileExistsError(), place, writing=True)
            self._write(place, lambda: self._move(part, place, overwrite=overwrite))
        except BaseException:
            with suppress(Exception):
                self._fs.rm_file(self._path(part))
            raise

    def read(self, place: RemotePath) -> bytes | None:
        """Return a small file, or None where there is none.

        Raises:
            InputError: it can't be read.
        """

        def cat() -> bytes | None:
            try:
                return bytes(self._fs.cat_file(self._path(place)))
            except FileNotFoundError as error:
                if trouble_of(error) is not Trouble.MISSING:
                    raise
                return None

        return self._read(place, cat)

    def write(self, place: RemotePath, content: bytes) -> None:
        """Write a small file, replacing one that is there.

        Raises:
            OutputError: it can't be written.
        """
        if self.scheme in WHOLE:
            self._write(place, lambda: self._fs.pipe_file(self._path(place), content))
            return
        part = place.with_name(f".{place.name}.part-{secrets.token_hex(4)}")

        def put() -> None:
            self._fs.makedirs(self._path(place.parent), exist_ok=True)
            self._fs.pipe_file(self._path(part), content)
            self._move(part, place, overwrite=True)

        self._write(place, put)

    def create(self, place: RemotePath, content: bytes) -> bool:
        """Write a small file where there is none; say whether that was so.

        Where the store can, nobody comes between looking and writing.

        Raises:
            OutputError: it can't be written.
        """

        def put() -> bool:
            path = self._path(place)
            try:
                if getattr(self._fs, "async_impl", False):
                    self._fs.pipe_file(path, content, mode="create")
                else:
                    self._fs.makedirs(self._path(place.parent), exist_ok=True)
                    with self._fs.open(path, EXCLUSIVE.get(self.scheme, "xb")) as file:
                        file.write(content)
            except FileExistsError:
                return False
            except OSError:
                if self._fs.exists(path):  # SFTP only says that it failed
                    return False
                raise
            return True

        return self._write(place, put)

    def remove(self, place: RemotePath) -> None:
        """Remove a file; harmless where there is none.

        Raises:
            OutputError: it can't be removed.
        """

        def rm() -> None:
            with suppress(FileNotFoundError):
                self._fs.rm_file(self._path(place))

        self._write(place, rm)

    def remove_folder(self, place: RemotePath) -> None:
        """Remove a folder that is empty, in stores that have folders; says nothing if it fails."""
        if self.scheme not in WHOLE:
            with suppress(Exception):
                self._fs.rmdir(self._path(place))

    def _path(self, place: RemotePath) -> str:
        return str(self._fs._strip_protocol(place.address))

    def _places(self, folder: RemotePath, found: list[str]) -> list[RemotePath]:
        root = self._path(folder).rstrip("/")
        return [
            folder / path[len(root) :].strip("/")
            for path in found
            if path.rstrip("/") != root and not path.endswith("/")
        ]

    def _info(self, place: RemotePath) -> dict[str, Any] | None:
        def ask() -> dict[str, Any] | None:
            self._fs.invalidate_cache()
            try:
                return dict(self._fs.info(self._path(place)))
            except FileNotFoundError as error:
                if trouble_of(error) is not Trouble.MISSING:
                    raise
                return None

        return self._read(place, ask)

    def _move(self, part: RemotePath, place: RemotePath, *, overwrite: bool) -> None:
        try:
            self._fs.mv(self._path(part), self._path(place))
        except OSError:
            if not overwrite:  # or the server doesn't replace
                raise
            self._fs.rm_file(self._path(place))
            self._fs.mv(self._path(part), self._path(place))

    def _check_size(self, path: Path, written: RemotePath, place: RemotePath) -> None:
        found, size = self.info(written), path.stat().st_size
        if found is None or found.bytes not in (None, size):
            raise OutputError(
                f"{place} did not arrive whole ({found.bytes if found else 0} of {size} bytes); "
                "try again"
            )

    def _read(
        self, place: RemotePath, action: Callable[[], _Result], local: Path | None = None
    ) -> _Result:
        return self._tried(place, action, local, writing=False)

    def _write(
        self, place: RemotePath, action: Callable[[], _Result], local: Path | None = None
    ) -> _Result:
        if self.scheme in WEB:
            raise UsageError(
                f"{place} is a web address, which can be read but not written; name another target"
            )
        return self._tried(place, action, local, writing=True)

    def _tried(
        self, place: RemotePath, action: Callable[[], _Result], local: Path | None, *, writing: bool
    ) -> _Result:
        for again in range(1, TRIES + 1):
            try:
                if self._fs is None:  # says hello to some servers
                    import fsspec

                    address, login = place.login
                    self._fs = fsspec.core.url_to_fs(address, **login)[0]
                return action()
            except Exception as error:  # noqa: BLE001 - each package has errors of its own
                if again < TRIES and self.scheme not in WHOLE and is_passing(error):
                    self._sleep(FIRST_PAUSE_S * 2 ** (again - 1))
                    continue
                said = explain(error, place, writing=writing, local=local)
                # A traceback that --debug shows would tell what the sentence hides.
                raise said from (None if tells_secrets(error, place) else error)
        raise AssertionError("the last try returns or raises")


def check_schemes(places: list[RemotePath]) -> None:
    """Find out whether all packages are there, before anything is done.

    Raises:
        UsageError: one isn't.
    """
    for place in {place.scheme: place for place in places}.values():
        Store(place)


def _nanoseconds(value: object) -> int:
    """Return a time to the second: asked in another way, a store may tell no more than that."""
    if isinstance(value, datetime.datetime):
        value = value.timestamp()
    if isinstance(value, int | float):
        return int(value) * 1_000_000_000
    if isinstance(value, str):
        with suppress(ValueError):
            return _nanoseconds(datetime.datetime.fromisoformat(value))
    return 0
