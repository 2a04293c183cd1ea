"""What a place in a store is called: pure text, and nothing secret of it is ever shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import parse_qsl, unquote

from streamderain.errors import InputError, UsageError
from streamderain.source import HIDDEN, hide_secrets

__all__ = ["Place", "RemotePath", "is_address", "place_of", "shown"]

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_MAGIC = re.compile(r"[*?[]")

WEB = ("http", "https")
"""Of these a file can be read, and nothing else done."""

LIVE = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp")
"""Addresses of cameras, which ``clean`` doesn't take."""

CONTAINER_BEFORE_AT = ("az", "abfs", "abfss", "adl")
"""Here ``container@account`` stands before the path, not a user."""

KEY_LENGTH = 16
"""Names of users that are as long are keys, as of S3, and nobody's to see either."""


@dataclass(frozen=True, slots=True, repr=False)
class RemotePath:
    """A file or folder in a store, with the names of :class:`pathlib.PurePath` for its parts.

    ``str()`` gives what people may see: without user and password, and without a web address's
    query, which may be signed. Only :attr:`address` has all.

    Attributes:
        scheme: lower case, as ``s3``.
        authority: bucket or host, with user and password where there are some.
        path: beginning with a slash, without one at the end; empty for the bucket itself.
        query: of a web address, with its question mark.
    """

    scheme: str
    authority: str
    path: str
    query: str = ""

    @property
    def address(self) -> str:
        """All of it, as fsspec takes it; not to be shown."""
        return f"{self.scheme}://{self.authority}{self.path}{self.query}"

    def __str__(self) -> str:
        user, at, host = self.authority.rpartition("@")
        if at and (":" in user or self.scheme not in CONTAINER_BEFORE_AT):
            user = HIDDEN
        query = f"?{HIDDEN}" if self.query else ""
        return f"{self.scheme}://{user}{at}{host}{self.path}{query}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def hide(self, text: str) -> str:
        """Return a text, of a library's error perhaps, without what is secret of this address."""
        user, at, _ = self.authority.rpartition("@")
        secrets = [self.query.removeprefix("?")] if self.query else []
        secrets += [value for _, value in parse_qsl(self.query.removeprefix("?")) if value]
        if at and ":" in user:
            name, _, password = user.partition(":")
            secrets += [password, unquote(password)]
            secrets += [name] if len(name) >= KEY_LENGTH else []
        # Short values say nothing by themselves, and hiding them would tear any sentence apart.
        kept = [secret for secret in dict.fromkeys(secrets) if len(secret) > 3]
        text = text.replace(self.address, str(self))
        return hide_secrets(text, kept)

    @property
    def login(self) -> tuple[str, dict[str, str]]:
        """An address to log in with; user and password apart where they are escaped in it.

        fsspec takes them as they stand there.
        """
        user, _, host = self.authority.rpartition("@")
        if "%" not in user or self.scheme in (*WEB, *CONTAINER_BEFORE_AT):
            return self.address, {}
        name, _, password = user.partition(":")
        login = {"username": unquote(name), "password": unquote(password)}
        return f"{self.scheme}://{host}{self.path}", login

    @property
    def name(self) -> str:
        """The last part, empty for a bucket."""
        return self.path.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The name's ending, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder."""
        return RemotePath(self.scheme, self.authority, self.path.rpartition("/")[0])

    @property
    def has_magic(self) -> bool:
        """Whether it may be a pattern for several files."""
        return self.scheme not in WEB and bool(_MAGIC.search(self.path))

    @property
    def literal(self) -> RemotePath:
        """The folder above the first part that is a pattern."""
        before = _MAGIC.split(self.path, maxsplit=1)[0]
        return RemotePath(self.scheme, self.authority, before.rpartition("/")[0])

    def with_name(self, name: str) -> RemotePath:
        """Return the place of that name beside this one."""
        return self.parent / name

    def __truediv__(self, other: str | PurePath) -> RemotePath:
        return RemotePath(self.scheme, self.authority, f"{self.path}/{PurePath(other).as_posix()}")

    def relative_to(self, folder: RemotePath) -> PurePosixPath:
        """Return the way from a folder to here.

        Raises:
            ValueError: this isn't below the folder.
        """
        if not self.is_below(folder):
            raise ValueError(f"{self} is not below {folder}")
        return PurePosixPath(self.path[len(folder.path) + 1 :])

    def is_below(self, folder: Place) -> bool:
        """Say whether this is in a folder, at any depth."""
        if not isinstance(folder, RemotePath):
            return False
        here = (self.scheme, self.authority) == (folder.scheme, folder.authority)
        return here and self.path.startswith(f"{folder.path}/")


Place = Path | RemotePath
"""Where a file is: on this machine, or in a store."""


def is_address(text: str) -> bool:
    """Say whether a word of the command line is an address."""
    return _ADDRESS.match(text) is not None


def shown(text: str) -> str:
    """Return a word of the command line as people may see it."""
    found = _ADDRESS.match(text)
    if found is not None and found[1].lower() in WEB:  # however the query says who asks
        address, mark, _ = text.partition("?")
        text = address + (f"?{HIDDEN}" if mark else "")
    return hide_secrets(text)


def place_of(text: str) -> Place:
    """Understand a path or an address; ``file://`` is a path.

    Raises:
        InputError: it is a camera's address.
        UsageError: it is none that can be taken.
    """
    found = _ADDRESS.match(text)
    if found is None:
        return Path(text)
    scheme, rest = found[1].lower(), found[2]
    if scheme == "file":
        return Path(rest)
    if scheme in LIVE:
        raise InputError(
            f"{shown(text)} is an address of a camera; clean takes files: run cleans cameras live, "
            "and ffmpeg can save a stream to a file first"
        )
    if "::" in text:
        raise UsageError(
            f"{shown(text)} is an address within an address, which is not taken; name one"
        )
    query = ""
    if scheme in WEB:
        rest, mark, query = rest.partition("#")[0].partition("?")
        query = mark + query
    authority, slash, path = rest.partition("/")
    if "@" in path and re.search(r":(?!\d*$)", authority) and "@" not in authority:
        # Part of a password would be taken for a path, and be shown.
        raise UsageError(
            f"the {scheme}:// address holds an @ after its first /; if that belongs to the "
            "password, write %2F for the / in it, and else %40 for the @"
        )
    path = re.sub("/+$", "", slash + path)
    if not authority and not path:
        raise UsageError(f"{shown(text)} names nothing; name a file or a folder")
    if any(part in (".", "..") for part in path.split("/")):
        raise UsageError(f"{shown(text)} holds . or .. as a name; write the address without")
    return RemotePath(scheme, authority, path, query)
