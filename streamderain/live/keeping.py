"""User and password that a changed camera keeps: nobody is told them, so nobody can say them."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from streamderain.config import CameraConfig
from streamderain.errors import ConfigError
from streamderain.source import HIDDEN, SourceKind

__all__ = ["keep_secrets"]


def keep_secrets(camera: CameraConfig, before: CameraConfig | None) -> CameraConfig:
    """Return a camera with the user and password of the one before, where it says ``***`` for them.

    ``***`` stands there as the configuration shows it: as ``user``, as ``password``, or in front of
    the ``@`` of ``source`` for both. They are kept only for the same scheme, host and port, and a
    password only for the same user: another place must not be sent what was meant for this one.

    Args:
        camera: as it was given.
        before: the one of that name, effective, or None.

    Raises:
        ConfigError: they can't be kept.
    """
    scheme, _, rest = camera.source.partition("://")
    if rest.startswith(f"{HIDDEN}@"):
        said = {"user": camera.user or HIDDEN, "password": camera.password or HIDDEN}
        source = f"{scheme}://{rest.removeprefix(f'{HIDDEN}@')}"
        camera = camera.model_copy(update={"source": source, **said})
    wanted = [key for key in ("user", "password") if getattr(camera, key) == HIDDEN]
    if not wanted:
        return camera
    if camera.parsed.kind is not SourceKind.NETWORK:  # nobody is asked for them there
        return camera.model_copy(update=dict.fromkeys(wanted))
    if before is None or before.parsed.kind is not SourceKind.NETWORK:
        raise ConfigError(f"{wanted[0]}: {HIDDEN} keeps what is stored, and there is none; say it")
    place, user, password = _login(before)
    now_at, now_as, _ = _login(camera)
    if now_at != place:
        raise ConfigError(
            f"{wanted[0]}: user and password are kept for {'://'.join(place)} alone; for "
            f"{'://'.join(now_at)} enter them anew"
        )
    if "password" in wanted and "user" not in wanted and now_as != user:
        raise ConfigError("password: it is kept for the same user alone; enter that of the new one")
    stored = {"user": user or None, "password": password or None}
    return camera.model_copy(update={key: stored[key] for key in wanted})


def _login(camera: CameraConfig) -> tuple[tuple[str, str], str, str]:
    """Return scheme and host with port of a camera's address; its user; its password."""
    parts = urlsplit(camera.parsed.address)
    place = parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()
    return place, unquote(parts.username or ""), unquote(parts.password or "")
