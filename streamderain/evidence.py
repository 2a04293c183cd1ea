"""Evidence beside a cleaned video: what it was made of, with what and how, signed where asked.

``NAME.mp4.evidence.json`` holds a statement and, if a key was given, an Ed25519 signature (RFC
8032) of it. What is signed are the bytes ``streamderain evidence 1`` and a line feed, and then the
statement as JSON in ASCII with its keys in order and no spaces. A statement holds no fractions, so
every language writes the same bytes.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import av
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import streamderain
from streamderain.errors import EvidenceError, InputError
from streamderain.framemap import FrameMap, Run
from streamderain.report import JobReport, ModelReport
from streamderain.signing import (
    is_signed_by,
    load_private_key,
    load_public_key,
    public_key_of,
    sign,
)
from streamderain.writers.atomic import AtomicFile, explain_os_error

__all__ = [
    "FileIdentity",
    "Signature",
    "Statement",
    "Verified",
    "evidence_path",
    "state",
    "verify",
    "versions_here",
    "write_evidence",
]

FORMAT = 1
PREFIX = b"streamderain evidence 1\n"
PACKAGES = ("av", "numpy", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "openvino",
            "torch")  # fmt: skip
"""Whose versions may tell in a frame; those that aren't installed are left out."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileIdentity(_Part):
    """A file.

    Attributes:
        name: without its folders.
        bytes: its size.
        sha256: of all of it, in hexadecimal.
    """

    name: str
    bytes: int
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Statement(_Part):
    """What is said of a video.

    Attributes:
        format: 1.
        created: when it was finished, UTC, ISO 8601.
        source, output: the files.
        model: the network.
        settings: how it was cleaned, by the options of the command line.
        versions: of what took part, by name.
        size: width and height.
        encoder: FFmpeg's name.
        frames_in, frames_out: decoded and written.
        derained, bypassed, corrupt: as in :class:`~streamderain.report.JobReport`.
        time_base: seconds per unit of the times in ``frames``, as ``1/12800``.
        frames: which frame of the source is which of the output, in order, and what became of it.
        notes, problems: what was reduced, and what is wrong with the source.
    """

    format: Literal[1] = 1
    created: str
    source: FileIdentity
    output: FileIdentity
    model: ModelReport
    settings: dict[str, int | str | bool | None]
    versions: dict[str, str]
    size: tuple[int, int] | None
    encoder: str | None
    frames_in: int
    frames_out: int
    derained: int
    bypassed: dict[str, int]
    corrupt: int
    time_base: str
    frames: list[Run]
    notes: list[str]
    problems: list[str]


class Signature(_Part):
    """Who vouches for a statement.

    Attributes:
        algorithm: ``ed25519``.
        public_key: 32 bytes in base64.
        value: 64 bytes in base64.
    """

    algorithm: Literal["ed25519"] = "ed25519"
    public_key: str
    value: str


class Verified(_Part):
    """Evidence that holds.

    Attributes:
        statement: what it says.
        signer: the public key, 32 bytes in base64, or None where nobody signed.
        trusted: it is the key that was asked for.
    """

    statement: Statement
    signer: str | None
    trusted: bool


def evidence_path(output: Path) -> Path:
    """Return where the evidence of a video is."""
    return output.with_name(f"{output.name}.evidence.json")


def state(
    source: Path, output: Path, report: JobReport, model: ModelReport,
    settings: Mapping[str, Any], frames: FrameMap, versions: Mapping[str, str] | None = None,
) -> Statement:  # fmt: skip
    """Return what is to be said of a video that was just finished.

    Args:
        source, output: the files.
        report, model, settings, frames: as they were.
        versions: of what took part, where that was on other machines.

    Raises:
        InputError: the source or the output can't be read.
    """
    with av.open(f"file:{source}", metadata_errors="surrogateescape") as container:
        time_base = container.streams.video[0].time_base
    return Statement(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        source=_identify(source), output=_identify(output), model=model,
        settings={key: _whole(value) for key, value in settings.items()},
        versions=dict(versions or versions_here()), size=report.size, encoder=report.encoder,
        frames_in=report.frames_in, frames_out=report.frames_out, derained=report.derained,
        bypassed=report.bypassed, corrupt=report.corrupt, time_base=str(time_base),
        frames=frames.runs, notes=report.notes, problems=report.problems,
    )  # fmt: skip


def write_evidence(output: Path, statement: Statement, key: Path | None) -> Path:
    """Write the evidence beside a video, and return its path.

    Args:
        output: the video.
        statement: from :func:`state`.
        key: PEM file of an Ed25519 private key, or None to leave it unsigned.

    Raises:
        UsageError: the key is none.
        OutputError: the disk is full, or the like.
    """
    said = statement.model_dump()
    signature = None
    if key is not None:
        private = load_private_key(key)
        signature = Signature(
            public_key=public_key_of(private), value=sign(private, _signed_bytes(said))
        ).model_dump()
    path = evidence_path(output)
    file = AtomicFile(path, overwrite=True)
    try:
        content = {"statement": said, "signature": signature}
        file.path.write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")
    except OSError as error:
        file.discard()
        raise explain_os_error(error, path) from error
    file.commit()
    return path


def verify(
    output: Path,
    *,
    evidence: Path | None = None,
    source: Path | None = None,
    key: Path | None = None,
) -> Verified:
    """Check a video against its evidence.

    Args:
        output: the video.
        evidence: where that is; None for beside it.
        source: the recording that it was made of, to be checked as well.
        key: PEM file of the public key that must have signed.

    Raises:
        EvidenceError: something isn't as the evidence says, or that isn't to be trusted.
        InputError: a file is missing or can't be read.
        UsageError: the key is none.
    """
    public = load_public_key(key) if key is not None else None
    path = evidence or evidence_path(output)
    said, signature = _load(path)
    signer = _check_signature(path, said, signature)
    if public is not None and signer is None:
        raise EvidenceError(f"{path} is not signed, so it can't be told who vouches for {output}")
    if public is not None and signer != public:
        raise EvidenceError(f"{path} was signed with another key than that of {key}")
    try:
        statement = Statement.model_validate(said)
    except ValidationError as error:
        raise EvidenceError(_broken(path)) from error
    _compare(output, statement.output, "the video that was written")
    if source is not None:
        _compare(source, statement.source, "the recording that it was made of")
    return Verified(statement=statement, signer=signer, trusted=public is not None)


def _signed_bytes(statement: object) -> bytes:
    """Return what is signed of a statement; the same bytes wherever it is written out again."""
    text = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return PREFIX + text.encode("ascii")


def _load(path: Path) -> tuple[dict[str, Any], Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"there is no evidence at {path}; clean writes it with --evidence"
        ) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} can't be read ({reason}); check the disk it is on") from error
    except ValueError as error:
        raise EvidenceError(_broken(path)) from error
    if not isinstance(found, dict) or not isinstance(found.get("statement"), dict):
        raise EvidenceError(_broken(path))
    if found["statement"].get("format") != FORMAT:
        raise EvidenceError(
            f"{path} is of another version (format {found['statement'].get('format')}, not "
            f"{FORMAT}); check it with that version of streamderain"
        )
    return found["statement"], found.get("signature")


def _check_signature(path: Path, statement: dict[str, Any], signature: Any) -> str | None:
    """Return the public key in base64 that signed, None where nobody did."""
    if signature is None:
        return None
    try:
        found = Signature.model_validate(signature)
    except ValidationError as error:
        raise EvidenceError(_broken(path)) from error
    if not is_signed_by(found.public_key, found.value, _signed_bytes(statement)):
        raise EvidenceError(f"{path} was changed after it was signed: its signature doesn't hold")
    return found.public_key


def _broken(path: Path) -> str:
    return f"{path} is no evidence that can be read; it was changed or is damaged"


def _compare(path: Path, stated: FileIdentity, what: str) -> None:
    found = _identify(path)
    if found.sha256 != stated.sha256:
        size = (
            f"{found.bytes} bytes, not {stated.bytes}"
            if found.bytes != stated.bytes
            else "its SHA-256 is another one"
        )
        raise EvidenceError(f"{path} is not {what} ({size}): it was changed, or is another file")


def _identify(path: Path) -> FileIdentity:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return FileIdentity(name=path.name, bytes=file.tell(), sha256=digest)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{path} can't be read ({reason}); check its name and disk") from error


def versions_here() -> dict[str, str]:
    """Return the versions of what may tell in a frame, on this machine, by name."""
    found = {"streamderain": streamderain.__version__, "python": platform.python_version()}
    found["ffmpeg"] = av.ffmpeg_version_info
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _whole(value: Any) -> int | str | bool | None:
    """Return a setting without fractions, which languages write in their own ways."""
    return str(value) if isinstance(value, float) else value
