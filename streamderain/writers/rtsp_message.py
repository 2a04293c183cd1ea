"""What is said over RTSP by one who publishes: requests, answers, user and password, the SDP. Pure.

FFmpeg's own RTSP muxer is not used: PyAV holds the interpreter's lock while it waits for a server
(:func:`avformat_write_header`), and one server that doesn't answer would stop every camera.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.request import parse_http_list, parse_keqv_list

__all__ = ["Access", "Answer", "Stream", "parse_answer", "parse_transport", "request", "sdp"]

HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
"""Of digest authentication (RFC 7616), by the names that servers give them."""

AGENT = "streamderain"


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes:
        status: as of HTTP; 200 is good.
        reason: in the server's words.
        headers: by name in lower case.
        challenges: all ``WWW-Authenticate``, in the server's order.
    """

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    challenges: tuple[str, ...] = ()

    @property
    def length(self) -> int:
        """Bytes of the body that follows."""
        text = self.headers.get("content-length", "0")
        return int(text) if text.isdigit() else 0

    @property
    def session(self) -> str | None:
        """The session's id, without its time limit."""
        value = self.headers.get("session")
        return value.partition(";")[0].strip() if value else None

    @property
    def session_timeout_s(self) -> float:
        """So long the server keeps a session of which it hears nothing."""
        match = re.search(r"timeout\s*=\s*(\d+)", self.headers.get("session", ""))
        return float(match[1]) if match and int(match[1]) else 60.0


def parse_answer(head: bytes) -> Answer | None:
    """Read an answer's head; None for anything else, such as a server's own request.

    Args:
        head: all lines up to the empty one.
    """
    lines = head.decode("utf-8", "replace").splitlines()
    match = re.fullmatch(r"RTSP/\d\.\d (\d{3}) ?(.*)", lines[0]) if lines else None
    if match is None:
        return None
    headers: dict[str, str] = {}
    challenges = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            continue
        if name.strip().lower() == "www-authenticate":
            challenges.append(value.strip())
        headers[name.strip().lower()] = value.strip()
    return Answer(int(match[1]), match[2].strip(), headers, tuple(challenges))


def parse_transport(value: str) -> dict[str, str]:
    """Return the parameters of a ``Transport`` header, by name."""
    found = (part.partition("=") for part in value.split(",", maxsplit=1)[0].split(";"))
    return {name.strip().lower(): text.strip() for name, _, text in found}


def request(
    method: str, address: str, number: int, headers: Mapping[str, str], body: bytes = b""
) -> bytes:
    """Return a request as it goes over the wire."""
    lines = [f"{method} {address} RTSP/1.0", f"CSeq: {number}", f"User-Agent: {AGENT}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Access:
    """User and password, in the form that the server asks for.

    Args:
        user, password: as they are, not escaped; None where there are none.
    """

    def __init__(self, user: str | None, password: str | None) -> None:
        self._user, self._password = user, password or ""
        self._basic = False
        self._digest: dict[str, str] = {}
        self._count = 0

    def challenged(self, answer: Answer) -> bool:
        """Take a server's challenge; False where there is nothing to answer it with."""
        if self._user is None:
            return False
        asked = [_challenge(text) for text in answer.challenges]
        digests = [values for kind, values in asked if kind == "digest" and _known(values)]
        # The strongest that both know; servers with hashed passwords can only take basic.
        digests.sort(key=lambda values: values.get("algorithm", "MD5").upper() != "SHA-256")
        self._digest, self._count = (digests[0] if digests else {}), 0
        self._basic = not digests and any(kind == "basic" for kind, _ in asked)
        return bool(digests) or self._basic

    def headers(self, method: str, address: str) -> dict[str, str]:
        """Return the header for a request, if the server has asked for one."""
        if self._basic:
            pair = f"{self._user}:{self._password}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if not self._digest:
            return {}
        return {"Authorization": self._answer(method, address)}

    def _answer(self, method: str, address: str) -> str:
        asked = self._digest
        hashed = HASHES[asked.get("algorithm", "MD5").upper()]

        def digest(*parts: str) -> str:
            return hashed(":".join(parts).encode()).hexdigest()

        realm, nonce = asked.get("realm", ""), asked.get("nonce", "")
        own = digest(self._user or "", realm, self._password)
        what = digest(method, address)
        said = {"username": self._user or "", "realm": realm, "nonce": nonce, "uri": address}
        extra = ""
        if "auth" in (part.strip() for part in asked.get("qop", "").split(",")):
            self._count += 1
            count, ours = f"{self._count:08x}", secrets.token_hex(8)
            said["response"] = digest(own, nonce, count, ours, "auth", what)
            said["cnonce"], extra = ours, f", qop=auth, nc={count}"
        else:
            said["response"] = digest(own, nonce, what)
        for name in ("opaque", "algorithm"):
            if name in asked:
                said[name] = asked[name]
        quoted = ", ".join(f'{name}="{_escaped(value)}"' for name, value in said.items())
        return f"Digest {quoted}{extra}"


def _challenge(text: str) -> tuple[str, dict[str, str]]:
    kind, _, rest = text.partition(" ")
    values = parse_keqv_list([part for part in parse_http_list(rest) if part.partition("=")[2]])
    return kind.lower(), {name.lower(): value for name, value in values.items()}


def _known(values: Mapping[str, str]) -> bool:
    return values.get("algorithm", "MD5").upper() in HASHES


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


@dataclass(frozen=True)
class Stream:
    """What is announced: one H.264 video.

    Attributes:
        title: that viewers may show.
        number: of the announcement, any that no other has.
        parameter_sets: SPS and PPS, without start codes.
        payload_type: of its RTP packets.
        clock_rate: units of their timestamps a second.
    """

    title: str
    number: int
    parameter_sets: Sequence[bytes]
    payload_type: int = 96
    clock_rate: int = 90000


def sdp(stream: Stream) -> bytes:
    """Describe a stream (RFC 4566, RFC 6184)."""
    sets = ",".join(base64.b64encode(unit).decode() for unit in stream.parameter_sets)
    sps = next((unit for unit in stream.parameter_sets if unit and unit[0] & 31 == 7), b"")
    formats = "packetization-mode=1"
    if sets:
        formats += f"; sprop-parameter-sets={sets}"
    if len(sps) >= 4:
        formats += f"; profile-level-id={sps[1:4].hex().upper()}"
    kind = stream.payload_type
    lines = [
        "v=0",
        f"o=- {stream.number} 1 IN IP4 127.0.0.1",
        f"s={stream.title}",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        f"a=tool:{AGENT}",
        "a=control:*",
        f"m=video 0 RTP/AVP {kind}",
        f"a=rtpmap:{kind} H264/{stream.clock_rate}",
        f"a=fmtp:{kind} {formats}",
        "a=control:streamid=0",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()
