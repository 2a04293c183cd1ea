"""What a camera's ``source`` means: an address, a file, a device or the test scene."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from streamderain.arguments import parse_rate, parse_size
from streamderain.errors import UsageError

__all__ = ["SceneSettings", "Source", "SourceKind", "hide_secrets", "parse_source"]

NETWORK_SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp", "rtp")

HIDDEN = "***"

_QUERY = re.compile(
    r"([?&][^=&#\s]*(?:user|pass|pwd|token|secret|key|auth)[^=&#\s]*=)[^&#\s]+", re.IGNORECASE
)
"""What an address's query says of who asks: many cameras want it there."""

_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")


class SourceKind(Enum):
    """How a source is read."""

    NETWORK = "network"
    FILE = "file"
    WEBCAM = "webcam"
    SCENE = "scene"


@dataclass(frozen=True)
class SceneSettings:
    """Of the test scene.

    Attributes:
        rain: a preset's name, or None for a dry day.
        size: height and width in pixels.
        fps: frames a second.
    """

    rain: str | None = "heavy"
    size: tuple[int, int] = (360, 640)
    fps: Fraction = Fraction(25)


@dataclass(frozen=True)
class Source:
    """A source, understood.

    Attributes:
        kind: how it is read.
        address: for FFmpeg: with user and password where there are some, escaped.
        shown: the address as people may see it, without user and password.
        secrets: texts that must not be seen anywhere.
        scene: settings of the test scene, or None.
    """

    kind: SourceKind
    address: str
    shown: str
    secrets: tuple[str, ...] = ()
    scene: SceneSettings | None = None


def parse_source(text: str, user: str | None = None, password: str | None = None) -> Source:
    """Understand a source.

    Args:
        text: an address, a path, ``/dev/video0``, or ``scene``, ``scene:heavy``,
            ``scene:light?size=1280x720&fps=25``.
        user, password: as they are, for an address; they go before those within it.

    Raises:
        UsageError: an address of a kind that isn't known, or without a host; a scene that can't be.
    """
    scheme, separator, _ = text.partition("://")
    if separator and scheme.lower() != "file":
        if scheme.lower() not in NETWORK_SCHEMES:
            raise UsageError(
                f"a source of the kind {scheme}:// is not known; there are "
                f"{', '.join(f'{known}://' for known in NETWORK_SCHEMES)}, files, /dev/video0 "
                "and scene:heavy"
            )
        return _network(text, user, password)
    if text == "scene" or text.startswith("scene:"):
        return Source(SourceKind.SCENE, text, text, scene=_scene(text))
    if re.fullmatch(r"/dev/video\d+", text):
        return Source(SourceKind.WEBCAM, text, text)
    path = text[len("file://") :] if separator else text
    return Source(SourceKind.FILE, path, path)


def _network(text: str, user: str | None, password: str | None) -> Source:
    scheme, _, rest = text.partition("://")
    userinfo, tail = _userinfo(scheme, rest)
    plain = f"{scheme}://{tail}"
    shown = _without_query_secrets(plain)
    try:
        parts = urlsplit(plain)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the address {shown} can't be understood: {error}") from None
    if not host:
        raise UsageError(f"the address {shown} names no host")
    found_user, _, found_password = userinfo.partition(":")
    user = user or unquote(found_user)
    password = password or unquote(found_password)
    if not user:
        return Source(SourceKind.NETWORK, plain, shown)
    escaped, secrets = quote(user, safe=""), [found_password] if found_password else []
    if password:
        escaped += f":{quote(password, safe='')}"
        secrets += [password, quote(password, safe=""), quote(password)]
    address = urlunsplit(parts._replace(netloc=f"{escaped}@{parts.netloc}"))
    return Source(SourceKind.NETWORK, address, shown, tuple(dict.fromkeys(secrets)))


def _userinfo(scheme: str, rest: str) -> tuple[str, str]:
    """Cut user and password off; a password that was not escaped must not be taken for a host."""
    authority, slash, path = rest.partition("/")
    if "@" not in path:
        userinfo, _, host = authority.rpartition("@")
        return userinfo, host + slash + path
    if "@" in authority or not _HOST.fullmatch(authority):
        raise UsageError(
            f"the {scheme}:// address holds an @ or a / that may belong to its password; give user "
            "and password as keys of their own, or write %40 for @ and %2F for /"
        )
    return "", rest


def _scene(text: str) -> SceneSettings:
    from streamderain.rain.simulate import PRESETS

    name, _, query = text.removeprefix("scene").removeprefix(":").partition("?")
    settings = dict(parse_qsl(query))
    unknown = settings.keys() - {"size", "fps"}
    if unknown:
        raise UsageError(
            f"the test scene {text!r} has no {', '.join(sorted(unknown))}; it has size and fps, as "
            "in scene:heavy?size=640x360&fps=25"
        )
    if name not in ("", "dry", *PRESETS):
        raise UsageError(
            f"the test scene {text!r} is not known; there are "
            f"{', '.join(f'scene:{preset}' for preset in ('dry', *PRESETS))}, each with "
            "?size=640x360&fps=25"
        )
    plain = SceneSettings()
    return SceneSettings(
        rain=None if name == "dry" else name or plain.rain,
        size=parse_size(settings["size"]) if "size" in settings else plain.size,
        fps=parse_rate(settings["fps"]) if "fps" in settings else plain.fps,
    )


def hide_secrets(text: str, secrets: tuple[str, ...] | list[str] = ()) -> str:
    """Return a text without the secrets, and without user and password of any address in it.

    Nor with what the query of an address says of them, ``?user=***&pwd=***``.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = re.sub(r"([A-Za-z][A-Za-z0-9+.-]*://)\S*@", rf"\1{HIDDEN}@", text)
    return _without_query_secrets(text)


def _without_query_secrets(text: str) -> str:
    return _QUERY.sub(rf"\1{HIDDEN}", text)
