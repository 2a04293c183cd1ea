"""What is known of an unfinished job, in a folder beside its target; read with doubt.

``NAME.mp4.streamderain/`` holds ``manifest.json``, and of each segment that is done ``00000.nut``
and ``00000.json``, its :class:`~streamderain.segments.work.SegmentResult`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import streamderain
from streamderain.errors import InputError, OutputError
from streamderain.segments.plan import Span
from streamderain.segments.work import SegmentResult, Settings, file_digest
from streamderain.writers.atomic import AtomicFile, explain_os_error

__all__ = [
    "FORMAT", "OURS", "Manifest", "ModelIdentity", "SourceIdentity", "StateFolder", "differences",
    "identify_source", "write_json",
]  # fmt: skip

FORMAT = 3
"""Of the manifest; another one is not understood."""

SAMPLES, SAMPLE_BYTES = 16, 65536
"""Parts of a source that are looked at to tell whether it is the same: all of it takes too long."""

OVER = "over.json"
"""The manifest of a job that is over, while its folder is removed; it goes last."""

OURS = re.compile(r"(manifest|delivering)\.json|\d{5}\.(nut|json)|\..+\.part-\d+(-\d+)?")
"""Names of the files that we put into the folder; no other is ever removed."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceIdentity(_Part):
    """Which recording.

    Attributes:
        name: of the file, without its folders.
        bytes: its size.
        modified_ns: when it was last changed, nanoseconds since 1970.
        parts_sha256: of 16 parts of 64 KiB, from the beginning to the end.
    """

    name: str
    bytes: int
    modified_ns: int
    parts_sha256: str


class ModelIdentity(_Part):
    """Which network, and what it runs on.

    Attributes:
        name, sha256, device, runtime, planes_sha256: as in
            :class:`~streamderain.report.ModelReport`.
    """

    name: str
    sha256: str | None
    device: str
    runtime: str
    planes_sha256: str | None = None

    @property
    def files(self) -> tuple[str, str | None, str | None]:
        """Which files run, by the network's name and their hashes."""
        return self.name, self.sha256, self.planes_sha256


class Manifest(BaseModel):
    """An unfinished job.

    Attributes:
        format: 1.
        version: of streamderain.
        source, model, settings: what is made of what, and how.
        output: name of the target, without its folders.
        segment_s: length that was asked for, seconds.
        spans: the segments.
        joining: number (inode) of the file that the segments are joined into, from then on: a
            target that is this file is whole.
        done: SHA-256 of the account (``00000.json``) of each segment that is done, by number.
    """

    model_config = ConfigDict(extra="forbid")
    format: int = FORMAT
    version: str = streamderain.__version__
    source: SourceIdentity
    model: ModelIdentity
    settings: Settings
    output: str
    segment_s: float
    spans: list[Span] = Field(min_length=1)
    joining: int | None = None
    done: dict[int, str] = Field(default_factory=dict)


def identify_source(path: Path) -> SourceIdentity:
    """Return what a recording is known by.

    Raises:
        InputError: it can't be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            last = max(0, status.st_size - SAMPLE_BYTES)
            for number in range(SAMPLES):
                file.seek(last * number // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} can't be read ({reason}); check the disk it is on") from error
    return SourceIdentity(
        name=path.name, bytes=status.st_size, modified_ns=status.st_mtime_ns,
        parts_sha256=digest.hexdigest(),
    )  # fmt: skip


def differences(found: Manifest, now: Manifest) -> str | None:
    """Return what isn't as it was when a job was begun, in words; None where all is.

    Args:
        found: of the unfinished job.
        now: of the one that would continue it; its ``spans`` don't count.
    """
    if found.source != now.source:
        return f"the source {now.source.name} has changed since"
    if found.model.name != now.model.name:
        return f"it was begun with the model {found.model.name}, not {now.model.name}"
    if found.model.files != now.model.files:
        return f"the file of the model {now.model.name} is another one than then"
    was, now_is = (f"{m.model.runtime} on {m.model.device}" for m in (found, now))
    if was != now_is:
        return f"the model ran by {was}, not {now_is}"
    before, after = found.settings.model_dump(), now.settings.model_dump()
    for name, value in after.items():
        if before[name] != value:
            return f"it was begun with --{name} {_word(before[name])}, not {_word(value)}"
    if found.output != now.output:
        return f"it was to become {found.output}, not {now.output}"
    if found.version != now.version:
        return f"it was begun by streamderain {found.version}, not {now.version}"
    return None


def _word(value: object) -> str:
    return {None: "unset", True: "on", False: "off"}.get(value, str(value))  # type: ignore[call-overload, no-any-return]


def write_json(path: Path, content: BaseModel) -> str:
    """Write a file whole or not at all, and have it on the disk; return its SHA-256.

    Raises:
        OutputError: the disk is full, or the like.
    """
    text = (json.dumps(content.model_dump(), indent=1) + "\n").encode()
    file = AtomicFile(path, overwrite=True)
    try:
        file.path.write_bytes(text)
    except OSError as error:
        file.discard()
        raise explain_os_error(error, path) from error
    file.commit()
    return hashlib.sha256(text).hexdigest()


class StateFolder:
    """The folder of an unfinished job, for one process at a time.

    Args:
        target: the video that is to be.

    Attributes:
        path: of the folder.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.streamderain")
        self._target = target
        self._lock: int | None = None

    @property
    def manifest_path(self) -> Path:
        """Of the manifest."""
        return self.path / "manifest.json"

    @property
    def begun(self) -> bool:
        """Whether there may be an unfinished job."""
        return self.path.exists()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it but our lock."""
        return [path.name for path in self.path.iterdir()] == ["lock"]

    def piece(self, number: int) -> Path:
        """Return the path of a segment's file."""
        return self.path / f"{number:05}.nut"

    def account(self, number: int) -> Path:
        """Return the path of a segment's account."""
        return self.path / f"{number:05}.json"

    def lock(self) -> None:
        """Make the folder, and keep every other process out until :meth:`unlock` or our end.

        Raises:
            OutputError: another process works on the same target, or the folder can't be made.
        """
        path = self.path / "lock"
        while True:
            try:
                self.path.mkdir(exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:
                if self.path.parent.is_dir():
                    continue  # whoever was at work has just tidied up
                raise explain_os_error(FileNotFoundError(2, ""), self._target) from None
            except OSError as error:
                raise explain_os_error(error, self.path) from error
            if not _locked(descriptor):
                os.close(descriptor)
                raise OutputError(
                    f"{self._target} is being written by another process; wait until it is done, "
                    "or name another target"
                )
            if _is_still(descriptor, path):
                self._lock = descriptor
                return
            os.close(descriptor)

    def unlock(self) -> None:
        """Let others in; harmless twice."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> Manifest | None:
        """Return the manifest, or None where there is none.

        Raises:
            OutputError: it is damaged, or of another version.
        """
        path = self.manifest_path
        try:
            found = json.loads(path.read_bytes())
            if isinstance(found, dict) and found.get("format", FORMAT) != FORMAT:
                raise OutputError(
                    f"{path} is of another version of streamderain (format {found['format']}, not "
                    f"{FORMAT}); finish the job with that one, or start over with --overwrite"
                )
            return Manifest.model_validate(found)
        except FileNotFoundError:
            return None
        except (ValueError, ValidationError) as error:
            raise OutputError(
                f"{path} is damaged; the segments beside it are left as they are: put the manifest "
                "back from a copy, or start over with --overwrite"
            ) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise OutputError(f"{path} can't be read ({reason}); check the disk") from error

    def save(self, manifest: Manifest) -> None:
        """Write the manifest.

        Raises:
            OutputError: the disk is full, or the like.
        """
        write_json(self.manifest_path, manifest)

    def trusted(self, number: int, account_sha256: str) -> SegmentResult | None:
        """Return the account of a segment whose file is what it says, else None."""
        try:
            text = self.account(number).read_bytes()
            if hashlib.sha256(text).hexdigest() != account_sha256:
                return None
            result = SegmentResult.model_validate(json.loads(text))
            found = file_digest(self.piece(number))
        except (OSError, OutputError, ValueError):
            return None
        return result if found == (result.bytes, result.sha256) else None

    def deliver(self) -> None:
        """Put the target, which was joined, where it is to be: here it is there already.

        Raises:
            OutputError: it can't be put there.
        """

    def clear(self, *, leftovers: bool = False) -> None:
        """Remove what we have put into the folder.

        Args:
            leftovers: only the temporary files of a process that was killed.
        """
        with contextlib.suppress(OSError):
            for path in sorted(self.path.iterdir(), key=lambda path: path.name != "manifest.json"):
                if OURS.fullmatch(path.name) and (not leftovers or path.name.startswith(".")):
                    path.unlink(missing_ok=True)

    def tidy_up(self) -> bool:
        """Remove what a process has left that was killed while it removed the folder.

        Returns:
            Whether there is no unfinished job then.
        """
        if not self.path.exists():
            return True
        if not (self.path / OVER).exists():
            return False
        try:
            self.lock()
        except OutputError:  # somebody else is at it
            return False
        over = (self.path / OVER).exists() and not self.manifest_path.exists()
        if over:
            self.remove()
        self.unlock()
        return over

    def remove(self) -> None:
        """Remove the folder with what we have put into it, and let others in."""
        with contextlib.suppress(OSError):  # from now on there is no job, whatever becomes of us
            self.manifest_path.rename(self.path / OVER)
        self.clear()
        if os.name == "nt":  # an open file can't be removed there
            self.unlock()
        with contextlib.suppress(OSError):
            (self.path / "lock").unlink(missing_ok=True)
            (self.path / OVER).unlink(missing_ok=True)
            self.path.rmdir()
        self.unlock()


def _locked(descriptor: int) -> bool:
    """Lock an open file for as long as this process lives; say whether nobody else has."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import errno
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # A file system without locks can't keep anybody out.
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True


def _is_still(descriptor: int, path: Path) -> bool:
    """Say whether the locked file is the one of that name, not one that was just removed."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
