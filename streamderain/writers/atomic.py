"""A file that is either whole and there, or not there: never half-written under its final name."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from streamderain.errors import OutputError

__all__ = ["AtomicFile", "explain_os_error"]

NAME_MAX = 255
"""Bytes that a file name may have on the file systems in use."""


NO_ROOM = "no room left to write {}; free some space, or name another place"
"""What is said of a full disk, with what was to be written."""


def explain_os_error(error: OSError, target: Path) -> OutputError:
    """Put what the operating system said about writing ``target`` into a sentence.

    Works on errors of FFmpeg as well: PyAV derives them from :class:`OSError` where they fit.
    """
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            text = NO_ROOM.format(target)
        case errno.EACCES | errno.EPERM:
            text = f"no permission to write {target}; name a place where you may write"
        case errno.EROFS:
            text = f"{target} is on a read-only file system; name another place"
        case errno.ENOTDIR:
            text = f"{target.parent} is not a folder; name another place"
        case errno.ENOENT:
            text = f"the folder {target.parent} does not exist; make it, or name another place"
        case errno.EEXIST:
            text = f"{target} already exists; name another target, or say --overwrite"
        case errno.ENAMETOOLONG:
            text = f"the name {target.name} is too long for this file system; choose a shorter one"
        case errno.EFBIG:
            text = f"{target} grows larger than its file system allows; name another place"
        case _:
            reason = error.strerror or type(error).__name__
            text = f"{target} can't be written ({reason}); check the disk it is on"
    return OutputError(text)


class AtomicFile:
    """Reserve a target, give a hidden temporary path beside it, and put it in place at the end.

    The temporary file is called ``.NAME.part-PID``: should the process be killed, the leftover
    says what it is and whose it was.

    Example::

        file = AtomicFile(Path("clean.mp4"))
        try:
            write_all(file.path)
            file.commit()
        except BaseException:
            file.discard()
            raise

    Args:
        target: the final name.
        overwrite: replace a target that exists; the old one stays until :meth:`commit`.
        sources: files that must never be replaced, by whatever name they are reached.
        folder: of the temporary file, on the same file system; None for beside the target.

    Attributes:
        target: the final name.
        path: the temporary file, made (empty) by the constructor.

    Raises:
        OutputError: the target exists, is a folder, is a source, or can't be written there.
    """

    def __init__(
        self,
        target: Path,
        *,
        overwrite: bool = False,
        sources: Iterable[Path] = (),
        folder: Path | None = None,
    ) -> None:
        self._folder = Path(target).parent if folder is None else folder
        self.target = target
        self._overwrite = overwrite
        self._pending = False
        self._check(sources)
        self.path = self._create()
        self._pending = True

    def commit(self) -> None:
        """Sync the temporary file and give it its final name.

        Without ``overwrite`` a target that has appeared meanwhile is left alone.

        Raises:
            OutputError: the disk is full, or the target is there by now.
        """
        try:
            _sync(self.path)
            if self._overwrite:
                self.path.replace(self.target)
            else:
                self._move_without_replacing()
            self._pending = False
            _sync(self.target.parent)
        except OSError as error:
            self.discard()
            raise explain_os_error(error, self.target) from error

    def discard(self) -> None:
        """Remove the temporary file; harmless twice, and after :meth:`commit`."""
        if self._pending:
            self._pending = False
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _check(self, sources: Iterable[Path]) -> None:
        for source in sources:
            with contextlib.suppress(OSError):
                if self.target.samefile(source):
                    raise OutputError(
                        f"{self.target} is the same file as the source {source}, which is never "
                        "written to; name another target"
                    )
        if self.target.is_dir():
            raise OutputError(f"{self.target} is a folder; name a file")
        if not self._overwrite and os.path.lexists(self.target):
            raise explain_os_error(OSError(errno.EEXIST, ""), self.target)

    def _create(self) -> Path:
        for attempt in range(100):
            path = self._folder / _temporary_name(self.target.name, attempt)
            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:  # of a killed process that had our id, or of a second writer
                continue
            except OSError as error:
                raise explain_os_error(error, self.target) from error
            return path
        raise OutputError(
            f"too many leftovers of {self.target.name} in {self.target.parent}; remove the hidden "
            "files whose names hold '.part-'"
        )

    def _move_without_replacing(self) -> None:
        try:
            os.link(self.path, self.target)  # fails where the target exists, unlike a rename
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: claim the name, then fill it
            os.close(os.open(self.target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            self.path.replace(self.target)
        else:
            self.path.unlink()


def _temporary_name(name: str, attempt: int) -> str:
    ending = f".part-{os.getpid()}" + (f"-{attempt}" if attempt else "")
    room = NAME_MAX - len(ending) - 1
    return f".{os.fsdecode(os.fsencode(name)[:room])}{ending}"


def _sync(path: Path) -> None:
    """Have the operating system put a file, or a folder's entries, on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows can't open folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # network folders that can't
            raise
    finally:
        os.close(descriptor)
