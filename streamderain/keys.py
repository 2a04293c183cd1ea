"""CURVE keys in files: made by ``streamderain keys``, read by publisher and subscriber.

The files are ZeroMQ's own certificates (ZPL), as ``zmq.auth`` and CZMQ read and write them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from streamderain.errors import InputError, OutputError, UsageError

__all__ = ["KeyPair", "make_keys", "read_public_key", "read_secret_key"]

KeyPair = tuple[bytes, bytes]
"""Public and secret key, Z85-encoded, 40 bytes each."""

SERVER = "server"


def make_keys(folder: Path, clients: list[str]) -> list[Path]:
    """Write keys for a publisher and for each of its clients; what is there is kept.

    ``server.key`` (for the clients) and ``server.key_secret`` (for the publisher) go into the
    folder, ``NAME.key`` (for the publisher) and ``NAME.key_secret`` (for the client) into
    ``clients/``. Secret ones can be read by their owner alone.

    Returns:
        The files that were written.

    Raises:
        UsageError: a name is not made of letters, digits, dots, dashes and underscores.
        OutputError: a file can't be written.
    """
    wrong = [name for name in clients if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name)]
    if wrong or SERVER in clients:
        raise UsageError(
            f"{(wrong or [SERVER])[0]!r} can't be a client's name; use letters, digits, dots, "
            f"dashes and underscores, and not {SERVER!r}"
        )
    written: list[Path] = []
    for base, name in [(folder, SERVER), *((folder / "clients", name) for name in clients)]:
        public, secret = base / f"{name}.key", base / f"{name}.key_secret"
        if public.exists() and secret.exists():
            continue
        if public.exists() or secret.exists():
            there = public if public.exists() else secret
            raise OutputError(f"{there} is there without its other half; move it away first")
        written += _make_pair(base, name)
    return written


def _make_pair(folder: Path, name: str) -> list[Path]:
    import zmq.auth

    before = os.umask(0o077)  # a secret is never readable by others, not even for a moment
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [Path(path) for path in zmq.auth.create_certificates(folder, name)]
        for path in paths:
            path.chmod(0o600 if path.suffix == ".key_secret" else 0o644)
        return paths
    except OSError as error:
        raise OutputError(f"no keys can be written to {folder} ({error.strerror})") from error
    finally:
        os.umask(before)


def read_secret_key(path: Path) -> KeyPair:
    """Return both keys of a file ``NAME.key_secret``.

    Raises:
        InputError: it isn't there, can't be read, or holds no secret key.
    """
    public, secret = _read(path)
    if secret is None:
        raise InputError(f"{path} holds no secret key; name the file that ends in .key_secret")
    return public, secret


def read_public_key(path: Path) -> bytes:
    """Return the public key of a file ``NAME.key``.

    Raises:
        InputError: it isn't there, can't be read, or holds no key.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[bytes, bytes | None]:
    import zmq.auth

    if not path.exists():
        raise InputError(f"{path} does not exist; 'streamderain keys' makes keys")
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it holds no key"
        raise InputError(
            f"{path} can't be read as a key ({reason}); 'streamderain keys' makes one"
        ) from error
    return public, secret
