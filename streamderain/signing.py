"""Ed25519 signatures (RFC 8032), by the ``cryptography`` library of the extra ``evidence``."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamderain.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["is_signed_by", "load_private_key", "load_public_key", "public_key_of", "sign"]


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read the PEM file of an Ed25519 private key, as ``openssl genpkey`` makes it.

    Raises:
        UsageError: it is none, it is encrypted, or it can't be read; or the library is missing.
    """
    serialization, ed25519, unsupported = _library()
    text = _read(path)
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except TypeError as error:
        raise UsageError(
            f"the key {path} is encrypted; decrypt it with 'openssl pkey', into a file that you "
            "alone may read"
        ) from error
    except (ValueError, unsupported) as error:
        raise UsageError(_none(path, "private")) from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UsageError(_none(path, "private"))
    found: Ed25519PrivateKey = key
    return found


def load_public_key(path: Path) -> str:
    """Read the PEM file of an Ed25519 public key; return its 32 bytes in base64.

    Raises:
        UsageError: it is none, or it can't be read; or the library is missing.
    """
    serialization, ed25519, unsupported = _library()
    text = _read(path)
    try:
        key = serialization.load_pem_public_key(text)
    except (ValueError, unsupported) as error:
        raise UsageError(_none(path, "public")) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise UsageError(_none(path, "public"))
    return _to_text(key.public_bytes_raw())


def public_key_of(key: Ed25519PrivateKey) -> str:
    """Return the public half of a key: 32 bytes in base64."""
    return _to_text(key.public_key().public_bytes_raw())


def sign(key: Ed25519PrivateKey, message: bytes) -> str:
    """Return the signature of a message: 64 bytes in base64."""
    return _to_text(key.sign(message))


def is_signed_by(public_key: str, signature: str, message: bytes) -> bool:
    """Say whether a signature is of that key and that message, both in base64.

    Raises:
        UsageError: the library is missing.
    """
    _, ed25519, _ = _library()
    from cryptography.exceptions import InvalidSignature

    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(_to_bytes(public_key))
        key.verify(_to_bytes(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _library() -> tuple[Any, Any, type[Exception]]:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise UsageError(
            "signatures need the library cryptography; install it with "
            "pip install 'streamderain[evidence]'"
        ) from error
    return serialization, ed25519, UnsupportedAlgorithm


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"the key {path} can't be read ({reason}); check its name") from error


def _none(path: Path, kind: str) -> str:
    make = {
        "private": "openssl genpkey -algorithm ed25519 -out key.pem",
        "public": "openssl pkey -in key.pem -pubout -out key.pub.pem",
    }[kind]
    return f"{path} is no Ed25519 {kind} key in PEM; make one with '{make}'"


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _to_bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
