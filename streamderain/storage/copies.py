"""Copies on this machine of what is in stores, for as long as somebody works with them.

All are below ``streamderain-UID/`` in the folder for temporary files (``TMPDIR`` moves it). Every
copy has a lock that ends with its process; what a killed process has left behind, the next one
removes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamderain.closing import ClosesAtExit
from streamderain.errors import InputError, OutputError
from streamderain.storage.address import Place, RemotePath, place_of
from streamderain.storage.files import FileInfo, Store
from streamderain.writers.atomic import explain_os_error

__all__ = ["SourceCache", "check_room", "delivered", "work_folder"]

RESERVE_BYTES = 64 << 20
"""Of the disk that copies leave free."""


class SourceCache(ClosesAtExit):
    """Copies of recordings, fetched once for all processes of a machine that ask for them.

    For work that comes back to the same recording, as segments of it do. A copy stays for as long
    as a cache in any process holds it: those in use, and the one used last. With the last cache
    that holds it, it goes.

    Example::

        with SourceCache() as sources:
            for segment in segments:
                with sources.local(segment.source) as path:
                    clean(path)
    """

    def __init__(self) -> None:
        self._folder = _root() / "sources"
        self._held: dict[str, int] = {}  # descriptors of locks
        self._uses: dict[str, int] = {}

    @contextmanager
    def local(self, source: str | Place) -> Iterator[Path]:
        """Give the path of a recording on this machine; of a path itself that.

        Its name is that of the source, and its time of change what the store says.

        Args:
            source: path or address.

        Raises:
            InputError: it is missing or can't be read.
            OutputError: there is no room for the copy.
            UsageError: a package for this kind of address is missing.
        """
        place = place_of(source) if isinstance(source, str) else source
        if isinstance(place, Path):
            yield place
            return
        store = Store(place)
        info = store.info(place)
        if info is None:
            raise InputError(f"{place} does not exist; check the name")
        known = f"{place.address}\n{info.bytes}\n{info.modified_ns}\n{info.version}"
        key = hashlib.sha256(known.encode()).hexdigest()[:32]
        if sys.platform == "win32":  # no locks that several can share
            key = f"{key[:16]}{os.getpid():x}"
        path = self._folder / key / place.name
        if key not in self._held:
            self._held[key] = self._hold(key, path, place, store, info)
        self._uses[key] = self._uses.get(key, 0) + 1
        try:
            yield path
        finally:
            self._uses[key] -= 1
            for other in [k for k in self._held if k != key and not self._uses.get(k)]:
                self._let_go(other)

    def close(self) -> None:
        """Remove the copies that nobody else holds; harmless twice."""
        for key in list(self._held):
            self._let_go(key)

    def _hold(self, key: str, path: Path, place: RemotePath, store: Store, info: FileInfo) -> int:
        """Lock a copy against removal, and make it where it isn't there yet."""
        lock = self._folder / f"{key}.lock"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob("*.lock"):
                _remove_unused(left)
            while True:
                descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    _lock(descriptor, alone=False)
                    if _is_still(descriptor, lock) and not path.exists():
                        _lock(descriptor, alone=True)
                        if _is_still(descriptor, lock) and not path.exists():
                            self._fetch(path, place, store, info)
                        _lock(descriptor, alone=False)
                    if _is_still(descriptor, lock) and path.exists():
                        return descriptor
                except BaseException:
                    os.close(descriptor)
                    _remove_unused(lock)
                    raise
                os.close(descriptor)  # removed by somebody between two locks: once more
        except OSError as error:
            raise explain_os_error(error, path) from error

    def _fetch(self, path: Path, place: RemotePath, store: Store, info: FileInfo) -> None:
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
        check_room(path.parent, info.bytes or 0, place)
        part = path.parent / ".part"
        try:
            store.fetch(place, part)
            os.utime(part, ns=(info.modified_ns, info.modified_ns))
            part.replace(path)
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise

    def _let_go(self, key: str) -> None:
        os.close(self._held.pop(key))
        self._uses.pop(key, None)
        _remove_unused(self._folder / f"{key}.lock")


@contextmanager
def work_folder() -> Iterator[Path]:
    """Give an empty folder that is removed at the end, by the next process after a kill.

    Raises:
        OutputError: it can't be made.
    """
    above = _root() / "work"
    try:
        above.mkdir(parents=True, exist_ok=True)
        for left in above.glob("*.lock"):
            _remove_unused(left)
        while True:
            descriptor, name = tempfile.mkstemp(suffix=".lock", dir=above)
            lock = Path(name)
            _lock(descriptor, alone=True)
            if _is_still(descriptor, lock):  # nobody has tidied up before it was locked
                break
            os.close(descriptor)
        folder = lock.with_suffix("")
        folder.mkdir()
    except OSError as error:
        raise explain_os_error(error, above) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)
        lock.unlink(missing_ok=True)


@contextmanager
def delivered(target: str | Place, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a path to write a file to, which goes to its place when the block ends without error.

    It appears there whole or not at all. Of a target that is a path on this machine, that path is
    given: who writes it takes care of that, as :func:`~streamderain.segments.work.clean_segment`
    does.

    Args:
        target: path or address of the file.
        overwrite: replace what is in the store.

    Raises:
        OutputError: it exists, or can't be written; also where the block has written no file.
        UsageError: a package for this kind of address is missing.
    """
    place = place_of(target) if isinstance(target, str) else target
    if isinstance(place, Path):
        yield place
        return
    store = Store(place)
    with work_folder() as folder:
        path = folder / place.name
        yield path
        if not path.exists():
            raise OutputError(f"there is nothing to be delivered to {place}")
        store.deliver(path, place, overwrite=overwrite)


def check_room(folder: Path, needed: int, place: RemotePath) -> None:
    """Refuse to fill the disk.

    Raises:
        OutputError: so many bytes don't fit into the folder.
    """
    free = shutil.disk_usage(folder).free
    if needed + RESERVE_BYTES > free:
        raise OutputError(
            f"no room for a copy of {place} ({_size(needed)}, and {_size(RESERVE_BYTES)} to spare) "
            f"in {tempfile.gettempdir()}, where {_size(free)} are free; free some, or name another "
            "folder with TMPDIR"
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _root() -> Path:
    """Return our folder among the temporary files, which nobody else may look into."""
    user = getattr(os, "getuid", lambda: "user")()
    root = Path(tempfile.gettempdir()) / f"streamderain-{user}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        status = root.lstat()
    except OSError as error:
        raise explain_os_error(error, root) from error
    owned = sys.platform == "win32" or (status.st_uid == user and not status.st_mode & 0o077)
    if not stat.S_ISDIR(status.st_mode) or not owned:
        raise OutputError(
            f"{root} is not a folder of yours alone, so no copies are put there; remove it, or "
            "name another folder with TMPDIR"
        )
    return root


def _remove_unused(lock: Path) -> None:
    """Remove a copy and its lock, unless somebody holds it."""
    with suppress(OSError):
        descriptor = os.open(lock, os.O_RDWR)
        try:
            if _lock(descriptor, alone=True, wait=False) and _is_still(descriptor, lock):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _is_still(descriptor: int, path: Path) -> bool:
    """Say whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _lock(descriptor: int, *, alone: bool, wait: bool = True) -> bool:
    """Lock an open file until it is closed; say whether that could be done at once."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
