"""Who may do what: pure, with the time handed in.

Three questions, asked in this order of every request:

1. Does it come under one of our names (``Host``)? Another name means that a page elsewhere made its
   own name point at us, to read us with its visitor's browser.
2. Does it come from our own page or from no page at all (``Origin``, ``Sec-Fetch-Site``)?
3. Does it bring the token, as ``Authorization: Bearer`` or in the form of a session's cookie? What
   changes always has to; what reads has to unless the service is this machine's alone.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from streamderain.serviceconfig import ServiceConfig, is_loopback, split_address

__all__ = ["Access", "Guard", "Head", "Refusal", "Rights"]

SESSION_S = 30 * 86400
"""How long a session lasts; a wall of cameras is not signed in anew each morning."""

REVOKED_MOST = 10_000
"""Sessions that were ended early and are remembered until they would have ended anyway."""

SAY_S = 10.0
"""Wrong tokens are said at most so often."""

WRONG_TOKEN_S = 0.3
"""So long the answer to a wrong token is kept back, and nothing else: tokens are tried slowly."""

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
"""Headers by which a reverse proxy gives away that the request isn't this machine's own."""

DEFAULT_PORTS = {"http": 80, "https": 443}


class Access(Enum):
    """What a request wants."""

    OPEN = "open"
    """Nothing that has to be guarded, from wherever it comes."""
    ENTRY = "entry"
    """What comes before signing in: the page itself, and signing in."""
    READ = "read"
    CHANGE = "change"


@dataclass(frozen=True)
class Head:
    """What there is to know of a request before it is answered.

    Attributes:
        method: ``GET`` and so on.
        headers: by name in lower case.
        cookies: by name.
    """

    method: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """Why a request isn't answered.

    Attributes:
        status: of HTTP.
        error: a sentence.
    """

    status: int
    error: str


@dataclass(frozen=True)
class Rights:
    """What a request may do."""

    may_read: bool
    may_change: bool


class Guard:
    """Decides over requests.

    Args:
        config: of the service.
        clock: seconds since 1970.
    """

    def __init__(self, config: ServiceConfig, clock: Callable[[], float] = time.time) -> None:
        self._config, self._clock = config, clock
        self._names = {config.host, *config.hosts}
        self._token = config.token.encode() if config.token is not None else None
        self._key = hmac.digest(self._token or secrets.token_bytes(32), b"session", "sha256")
        self._revoked: dict[str, float] = {}
        self._said_at = float("-inf")

    @property
    def has_token(self) -> bool:
        """Whether there is a token at all; without one, nothing can be changed."""
        return self._token is not None

    @property
    def needs_token(self) -> bool:
        """Whether reading needs the token too, for those who come directly."""
        return not is_loopback(self._config.host)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; cookies don't know ports, so that it has to."""
        return f"streamderain_{self._config.port}"

    def refuse(self, head: Head, access: Access) -> Refusal | None:
        """Return why a request isn't answered, or None where it is."""
        if access is Access.OPEN:
            return None
        refusal = self._refuse_place(head, access)
        if refusal is not None or access is Access.ENTRY:
            return refusal
        return self._refuse_person(head, access)

    def rights(self, head: Head) -> Rights:
        """Return what a request may do."""
        signed_in = self._token is not None and self._is_signed_in(head)
        return Rights(signed_in or self._is_from_here(head), signed_in)

    def has_session(self, head: Head) -> bool:
        """Whether a request comes with the cookie of a session that holds."""
        return self._is_session(head.cookies.get(self.cookie, ""))

    def open_session(self, token: str) -> str | None:
        """Return the cookie's value for a token, or None where it is wrong."""
        if not self._is_token(token):
            return None
        body = f"{int(self._clock()) + SESSION_S}.{secrets.token_hex(16)}"
        return f"{body}.{self._sign(body)}"

    def note_wrong(self) -> bool:
        """Note that a wrong token came; return whether that is to be said: not at every try."""
        now = self._clock()
        if now - self._said_at < SAY_S:
            return False
        self._said_at = now
        return True

    def end_session(self, head: Head) -> None:
        """End the session of a request, if it has one."""
        cookie = head.cookies.get(self.cookie, "")
        if not self._is_session(cookie):
            return
        now = self._clock()
        self._revoked = {value: end for value, end in self._revoked.items() if end > now}
        if len(self._revoked) >= REVOKED_MOST:
            del self._revoked[next(iter(self._revoked))]
        self._revoked[cookie] = float(cookie.partition(".")[0])

    def _refuse_place(self, head: Head, access: Access) -> Refusal | None:
        host = _netloc(head.headers.get("host", ""), None)
        if host is None or not self._is_ours(host[0]):
            return Refusal(
                403,
                "this name isn't one of the service's; put it into service.hosts of the "
                "configuration if it should be",
            )
        origin = head.headers.get("origin")
        if origin is not None and not _is_same(origin, head.headers["host"]):
            return Refusal(403, "requests from other sites' pages aren't answered")
        site = head.headers.get("sec-fetch-site", "none")
        visits = (
            access is Access.ENTRY
            and head.method in ("GET", "HEAD")
            and head.headers.get("sec-fetch-mode") == "navigate"
        )
        if site not in ("none", "same-origin") and not visits:
            return Refusal(403, "requests from other sites' pages aren't answered")
        return None

    def _refuse_person(self, head: Head, access: Access) -> Refusal | None:
        if self._token is not None and "authorization" in head.headers and not self._bears(head):
            return Refusal(401, "the token is wrong; it is service.token of the configuration")
        rights = self.rights(head)
        if rights.may_change or (access is Access.READ and rights.may_read):
            return None
        if self._token is None:
            return Refusal(
                403,
                "nothing can be changed, and nothing read from elsewhere, because no token is set; "
                "set service.token in the configuration",
            )
        return Refusal(
            401, "this needs the token, as 'Authorization: Bearer TOKEN' or by signing in"
        )

    def _is_ours(self, host: str) -> bool:
        if is_loopback(host) or host in self._names:
            return True
        # Only a name can be made to point elsewhere, an address is what it is.
        return self._config.is_everywhere and _is_address(host)

    def _is_from_here(self, head: Head) -> bool:
        """Whether it may read without the token: from this machine, and by no proxy."""
        if not is_loopback(self._config.host) or any(name in head.headers for name in FORWARDED):
            return False
        host = _netloc(head.headers.get("host", ""), None)
        return host is not None and is_loopback(host[0])

    def _is_signed_in(self, head: Head) -> bool:
        return self._bears(head) or self._is_session(head.cookies.get(self.cookie, ""))

    def _bears(self, head: Head) -> bool:
        scheme, _, token = head.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(token.strip())

    def _is_token(self, token: str) -> bool:
        if self._token is None:
            return False
        given, right = (
            hashlib.sha256(text).digest()
            for text in (token.encode("utf-8", "surrogateescape"), self._token)
        )
        return hmac.compare_digest(given, right)

    def _is_session(self, cookie: str) -> bool:
        body, _, signature = cookie.rpartition(".")
        right = self._sign(body)
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), right.encode()):
            return False
        return float(body.partition(".")[0]) > self._clock() and cookie not in self._revoked

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode("utf-8", "replace"), "sha256").hexdigest()


def _netloc(text: str, default: int | None) -> tuple[str, int | None] | None:
    """Return a host in lower case without brackets, and the port; None where it is no host."""
    has_port = text.rpartition(":")[2].isdigit() and not text.endswith("]")
    if not has_port and text.endswith(":"):
        return None
    try:
        host, port = split_address(text if has_port else f"{text}:0")
    except ValueError:
        return None
    return host, port if has_port else default


def _is_same(origin: str, host: str) -> bool:
    """Whether an origin is that of the page which a host serves."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = DEFAULT_PORTS.get(parts.scheme)
    ours = _netloc(host, default)
    return default is not None and ours is not None and _netloc(parts.netloc, default) == ours


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
