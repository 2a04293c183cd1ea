"""The ``service:`` section of the configuration: where the web service is, and who may use it."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = ["ServiceConfig", "is_loopback", "split_address"]

TOKEN_LENGTH = (8, 256)
"""Fewest and most characters of a token."""

FEWEST_OUTSIDE = 16
"""Fewest characters where other machines can try tokens."""

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")


def split_address(text: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` or ``[IPV6]:PORT``; the host comes without brackets, in lower case.

    Raises:
        ValueError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        known = _is_ip(host) and ":" in host
    else:
        host = host.lower()
        known = ":" not in host and _NAME.fullmatch(host) is not None
    if not colon or not known or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("an address is HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Say whether a host, a name or an IP address without brackets, means this machine alone."""
    if _is_ip(host):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address(text: str) -> str:
    split_address(text)
    return text


def _token(text: str) -> str:
    fewest, most = TOKEN_LENGTH
    if not fewest <= len(text) <= most or not re.fullmatch(r"[!-~]+", text):
        raise ValueError(
            f"a token is {fewest} to {most} ASCII characters without spaces; make one with: "
            "openssl rand -hex 24"
        )
    return text


def _host(text: str) -> str:
    name = text.lower().removeprefix("[").removesuffix("]")
    if not _is_ip(name) and not _NAME.fullmatch(name):
        raise ValueError("a host is a name or an IP address, without port, such as cam.example.org")
    return name


class ServiceConfig(BaseModel):
    """The web service: a page, REST and metrics; see docs/service.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    address: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8080"
    """Where it listens: HOST:PORT, 0.0.0.0:8080 for all of this machine's addresses."""
    token: Annotated[str, AfterValidator(_token)] | None = None
    """Whoever has it may change things. It belongs into the environment: ${STREAMDERAIN_TOKEN}.
    Where other machines reach the address it has 16 characters or more. Without one there is only
    reading, and only from this machine."""
    hosts: Annotated[list[Annotated[str, AfterValidator(_host)]], Field(max_length=64)] = []
    """Further names under which it may be reached, such as a reverse proxy's."""
    page: bool = True
    """Serve the web page."""

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f"other machines reach {self.address}, so it needs a token; give it one, or listen "
                "at 127.0.0.1"
            )
        if not is_loopback(self.host) and len(self.token or "") < FEWEST_OUTSIDE:
            raise ValueError(
                f"other machines reach {self.address}, so its token needs at least "
                f"{FEWEST_OUTSIDE} characters; make one with: openssl rand -hex 24"
            )
        if self.token is None and self.hosts:
            raise ValueError("who comes under one of hosts needs a token; give it one")
        return self

    @property
    def host(self) -> str:
        """The host of the address, without brackets."""
        return split_address(self.address)[0]

    @property
    def port(self) -> int:
        """The port of the address; 0 for one that the system chooses."""
        return split_address(self.address)[1]

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens at all of the machine's addresses."""
        return _is_ip(self.host) and ipaddress.ip_address(self.host).is_unspecified
