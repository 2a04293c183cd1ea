"""What went wrong with a store, in a sentence; the libraries' errors have no common base."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from pathlib import Path

from streamderain.errors import InputError, OutputError, StreamderainError, UsageError
from streamderain.storage.address import WEB, RemotePath
from streamderain.writers.atomic import NO_ROOM

__all__ = [
    "Trouble",
    "explain",
    "is_passing",
    "missing_package",
    "no_room_here",
    "tells_secrets",
    "trouble_of",
]

PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "abfss": "adlfs", "adl": "adlfs", "sftp": "paramiko", "ssh": "paramiko",
    "smb": "smbprotocol", "http": "aiohttp", "https": "aiohttp", "oss": "ossfs", "oci": "ocifs",
    "hdfs": "pyarrow", "webdav": "webdav4[fsspec]",
}  # fmt: skip
"""What a kind of address needs beside fsspec."""

REFUSED = frozenset(
    {
        "AuthenticationException", "ClientAuthenticationError", "CredentialUnavailableError",
        "DefaultCredentialsError", "NoAuthTokenError", "NoCredentialsError",
        "PartialCredentialsError", "RefreshError", "SSHException", "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)  # fmt: skip
"""Names of errors that say that we may not."""

UNREACHABLE = frozenset(
    {
        "ClientConnectionError", "ClientConnectorDNSError", "ClientConnectorError",
        "ClientOSError", "ClientPayloadError", "ConnectTimeoutError", "ConnectionClosedError",
        "ConnectionError", "EndpointConnectionError", "FSTimeoutError", "NoValidConnectionsError",
        "ProxyConnectionError", "ReadTimeoutError", "ServerDisconnectedError",
        "ServerTimeoutError", "ServiceRequestError", "gaierror",
    }
)  # fmt: skip
"""Names of errors that say that nobody answers."""

BUSY = frozenset({errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO)})


class Trouble(Enum):
    """Kinds of trouble, by what there is to do about them."""

    MISSING = "missing"
    NO_BUCKET = "no bucket"
    REFUSED = "refused"
    EXISTS = "exists"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    OTHER = "other"


def trouble_of(error: BaseException) -> Trouble:
    """Say what kind of trouble an error of a store is, looking at its causes as well."""
    chain = list(_causes(error))
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    statuses = {getattr(each, "status", None) for each in chain}
    if "NoSuchBucket" in names or any("NoSuchBucket" in str(each) for each in chain):
        return Trouble.NO_BUCKET
    if names & REFUSED or "PermissionError" in names or statuses & {401, 403}:
        return Trouble.REFUSED
    if names & UNREACHABLE or "TimeoutError" in names:
        return Trouble.UNREACHABLE
    if any(isinstance(status, int) and _says_later(status) for status in statuses):
        return Trouble.BUSY  # fsspec calls missing whatever a web server doesn't give
    if "FileExistsError" in names:
        return Trouble.EXISTS
    if "FileNotFoundError" in names:
        return Trouble.MISSING
    if any(isinstance(each, OSError) and each.errno in BUSY for each in chain):
        return Trouble.BUSY
    return Trouble.OTHER


def is_passing(error: BaseException) -> bool:
    """Say whether trying again may help."""
    return trouble_of(error) in (Trouble.UNREACHABLE, Trouble.BUSY)


def tells_secrets(error: BaseException, place: RemotePath) -> bool:
    """Say whether an error or one of its causes tells what nobody is to see."""
    return any(place.hide(str(each)) != str(each) for each in _causes(error))


def explain(
    error: BaseException, place: RemotePath, *, writing: bool = False, local: Path | None = None
) -> StreamderainError:
    """Put what a library said about a place into a sentence, without secrets.

    Args:
        error: as it was raised.
        place: which was read or written.
        writing: it was to be written.
        local: file on this machine that was read or written at the same time; where it was
            written, a full disk is its.
    """
    kind = OutputError if writing else InputError
    if local is not None and isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return OutputError(NO_ROOM.format(place)) if writing else no_room_here(place)
    match trouble_of(error):
        case Trouble.NO_BUCKET:
            return kind(f"the bucket of {place} does not exist; make it, or check its name")
        case Trouble.REFUSED if place.scheme in WEB:
            return kind(
                f"no permission to read {place}{_said(error, place)}; check user and password, "
                "and whether the address has run out"
            )
        case Trouble.REFUSED:
            what = "write" if writing else "read"
            return kind(
                f"no permission to {what} {place}{_said(error, place)}; check the credentials "
                f"that {PACKAGES.get(place.scheme, place.scheme)} finds, and what they allow"
            )
        case Trouble.UNREACHABLE:
            return kind(
                f"{place} can't be reached{_said(error, place)}; check the network, the address "
                "and the endpoint"
            )
        case Trouble.EXISTS:
            return kind(f"{place} already exists; name another target, or say --overwrite")
        case Trouble.MISSING if writing:
            return kind(f"the folder of {place} does not exist; make it, or name another place")
        case Trouble.MISSING:
            return kind(f"{place} does not exist; check the name")
    what = "written" if writing else "read"
    return kind(f"{place} can't be {what}{_said(error, place)}; check the store and the address")


def no_room_here(place: object) -> OutputError:
    """Return the sentence for a copy that doesn't fit on this machine."""
    return OutputError(
        f"no room left in {tempfile.gettempdir()} for the copy of {place} on this machine; free "
        "some there, or name another folder with TMPDIR"
    )


def missing_package(scheme: str, error: BaseException | None = None) -> UsageError:
    """Return the sentence for a kind of address that needs a package, or that nobody knows."""
    if isinstance(error, ValueError):
        return UsageError(
            f"addresses of the kind {scheme}:// are not known to fsspec; there are s3://, gs://, "
            "az://, sftp://, smb://, https:// and more, some with packages of their own"
        )
    package = PACKAGES.get(scheme)
    if error is None:
        wanted = "fsspec" if package is None else f"fsspec and {package}"
        line = "'streamderain[storage]'" + (f" '{package}'" if package else "")
        return UsageError(f"{scheme}:// needs {wanted}; install them with: pip install {line}")
    if package is None:
        return UsageError(f"{scheme}:// needs another package ({_line(str(error))})")
    return UsageError(f"{scheme}:// needs {package}; install it with: pip install '{package}'")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen and len(seen) < 8:
        seen.append(following)
        yield following
        following = following.__cause__ or following.__context__


def _said(error: BaseException, place: RemotePath) -> str:
    """Return what a library said, in brackets; of a web server's answer what that was."""
    for each in _causes(error):
        status = getattr(each, "status", None)
        if isinstance(status, int) and status >= 400:
            with suppress(ValueError):
                return f" ({status} {HTTPStatus(status).phrase})"
            return f" ({status})"
    text = _line(place.hide(str(error))) or type(error).__name__
    return f" ({text})"


def _says_later(status: int) -> bool:
    """Say whether a web server has trouble that isn't the asker's, or is asked too often."""
    return status >= 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


def _line(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= 160 else f"{line[:160]}..."
