"""The messages between streamderain and its subscribers: pure encoding and decoding, no sockets.

``docs/wire.md`` specifies them for other languages; the recorded messages in ``tests/vectors/``
say how each is to be decoded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamderain.errors import WireError
from streamderain.frame import Pixels

__all__ = [
    "CAMERA_PATTERN",
    "CODECS",
    "PIXEL_FORMATS",
    "VERSION",
    "AddressHeader",
    "EventHeader",
    "FrameHeader",
    "Header",
    "address_topic",
    "decode_message",
    "decode_pixels",
    "encode_message",
    "encode_pixels",
    "event_topic",
    "frame_topic",
]

VERSION = 1
"""Of the messages; a reader refuses a higher one."""

CAMERA_PATTERN = r"^[A-Za-z0-9._-]{1,64}$"

MAX_SIDE = 32768
"""Pixels; a larger frame is taken for a damaged header."""

MAX_HEADER_BYTES = 16384

CODECS = ("raw", "jpeg", "png")
PIXEL_FORMATS = ("rgb24", "bgr24")

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Run = Annotated[str, Field(min_length=1, max_length=64)]
Address = Annotated[str, Field(min_length=1, max_length=256)]


class _Header(BaseModel):
    """What both kinds of a camera's own messages say."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    v: Annotated[int, Field(ge=1)] = VERSION
    camera: Annotated[str, Field(pattern=CAMERA_PATTERN)]
    run: Run
    t_publish_ns: Count
    dropped: dict[str, Count] = Field(default_factory=dict)


class FrameHeader(_Header):
    """The second part of a frame's message.

    Attributes:
        v: version of the message, 1.
        camera: id, ``[A-Za-z0-9._-]{1,64}``.
        run: changes when the publisher restarts; then everything counts anew.
        session: counts from 0 within a run; one more at every reconnect or change of format.
        seq: counts the camera's published frames within a run, from 0: a gap is loss on the way.
        shape: height, width and 3.
        dtype: ``uint8``.
        pixfmt: order of the colours in a ``raw`` payload; pictures carry their own.
        codec: of the payload: ``raw`` (C-contiguous H×W×3), ``jpeg`` or ``png``.
        pts, time_base: the camera's own time, in units of so many seconds (a fraction); or null.
        t_capture_ns: when the picture was taken, nanoseconds since 1970, UTC.
        t_source: how that is known: from the camera's clock (``rtcp``), from when the frame with
            that ``pts`` should have come (``pts``), or from when it came (``arrival``).
        t_publish_ns: when it was sent, on the publisher's clock.
        src_index: counts the frames that the camera gave in this session, from 0.
        decoded: counts them within the run, this one included.
        derained: whether the network cleaned it.
        bypass: why not, where it did not: ``overload``, ``dry``, ``corrupt``, ``null``, ...
        rain: rain score 0 to 1, or null where nobody measured it.
        model: name of the network, or null.
        dropped: frames of this camera that were left out before this one, by reason, within the
            run. ``decoded == seq + 1 + sum(dropped)`` holds in every message.
    """

    session: Count
    seq: Count
    shape: tuple[Side, Side, Literal[3]]
    dtype: Literal["uint8"] = "uint8"
    pixfmt: Literal["rgb24", "bgr24"] = "rgb24"
    codec: Literal["raw", "jpeg", "png"] = "raw"
    pts: int | None = None
    time_base: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 1)
    t_capture_ns: Count
    t_source: Literal["rtcp", "pts", "arrival"]
    src_index: Count
    decoded: Count
    derained: bool
    bypass: str | None = None
    rain: Annotated[float, Field(ge=0, le=1)] | None = None
    model: str | None = None


class EventHeader(_Header):
    """The second part of an event's message; its third part is empty.

    Attributes:
        v, camera, run, t_publish_ns: as for frames.
        event: ``heartbeat``, each second, or ``state`` when the camera's state changes.
        state: ``connecting``, ``live``, ``stalled``, ``backoff``, ``failed``, ``paused`` or
            ``ended``.
        seq: of the last frame, or null before the first.
        decoded: frames that the camera gave within the run.
        dropped: frames left out so far, by reason, within the run. A few more may be on their way.
        message: why, in a sentence, or null.
    """

    event: Literal["heartbeat", "state"]
    state: Literal["connecting", "live", "stalled", "backoff", "ended", "failed", "paused"]
    seq: Count | None = None
    decoded: Count = 0
    message: str | None = None


class AddressHeader(BaseModel):
    """The second part of an entry of the address book; its third part is empty.

    Attributes:
        v, camera, t_publish_ns: as for frames.
        book: changes when the book restarts; then ``seq`` begins anew.
        seq: counts this camera's entries in the book, from 0.
        state: as for events, or ``waiting`` (for a place in the cluster) or ``moving`` (what it ran
            on is lost; it is being placed anew).
        message: why, in a sentence, or null.
        run: of the frames that are published at these addresses, as their headers have it; null
            while there are none. Frames of another run still come from where the camera was before.
        node: where the camera is, as people may see it, or null.
        addresses: where SUB sockets connect; empty while it is published nowhere.
        push: where PULL sockets connect, of outputs with the pattern ``push``.
        since_ns: since when it is published there, nanoseconds since 1970, or null.
        placement: how often the camera has been placed, this time included.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    v: Annotated[int, Field(ge=1)] = VERSION
    camera: Annotated[str, Field(pattern=CAMERA_PATTERN)]
    book: Run
    seq: Count
    t_publish_ns: Count
    state: Literal[
        "waiting", "moving", "connecting", "live", "stalled", "backoff", "ended", "failed", "paused"
    ]
    message: str | None = None
    run: Run | None = None
    node: str | None = None
    addresses: tuple[Address, ...] = ()
    push: tuple[Address, ...] = ()
    since_ns: Count | None = None
    placement: Count = 0


Header = FrameHeader | EventHeader | AddressHeader


def frame_topic(camera: str = "") -> bytes:
    """Return the topic of a camera's frames, or the prefix of all; ends in a slash.

    So that a subscription to ``cam1`` doesn't match ``cam10``.
    """
    return f"frame/{camera}/".encode() if camera else b"frame/"


def event_topic(camera: str = "") -> bytes:
    """Return the topic of a camera's events, or the prefix of all."""
    return f"event/{camera}/".encode() if camera else b"event/"


def address_topic(camera: str = "") -> bytes:
    """Return the topic of a camera's entries in the address book, or the prefix of all."""
    return f"address/{camera}/".encode() if camera else b"address/"


def encode_pixels(pixels: Pixels, codec: str, pixfmt: str = "rgb24", quality: int = 90) -> Any:
    """Return the payload for a frame.

    Args:
        pixels: uint8 H×W×3, RGB.
        codec: ``raw``, ``jpeg`` or ``png``.
        pixfmt: ``rgb24`` or ``bgr24``, for ``raw``.
        quality: of JPEG, 1 to 100.

    Returns:
        Something bytes-like; for ``raw`` in ``rgb24`` the memory of ``pixels`` itself.
    """
    if codec == "raw":
        ordered = pixels if pixfmt == "rgb24" else pixels[:, :, ::-1]
        return np.ascontiguousarray(ordered).data.cast("B")
    if codec == "jpeg":
        ending, settings = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality]
    else:
        ending, settings = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]
    done, data = cv2.imencode(ending, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise WireError(f"a frame of {pixels.shape} can't be written as {codec}")
    return data.reshape(-1).data.cast("B")


def decode_pixels(header: FrameHeader, payload: Any) -> Pixels:
    """Return the picture of a message, uint8 H×W×3 RGB.

    A ``raw`` picture in ``rgb24`` is a view of the payload, read-only where that is.

    Raises:
        WireError: the payload isn't what the header says.
    """
    height, width, _ = header.shape
    if header.codec == "raw":
        flat = np.frombuffer(payload, np.uint8)
        if flat.size != height * width * 3:
            raise WireError(
                f"a raw frame of {width}x{height} has {height * width * 3} bytes, not {flat.size}"
            )
        pixels = flat.reshape(height, width, 3)
        return pixels if header.pixfmt == "rgb24" else np.ascontiguousarray(pixels[:, :, ::-1])
    data = np.frombuffer(payload, np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None or picture.shape != header.shape:
        found = "damaged" if picture is None else f"{picture.shape[1]}x{picture.shape[0]}"
        raise WireError(f"a {header.codec} frame that should be {width}x{height} is {found}")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def encode_message(header: Header, payload: Any = b"") -> list[Any]:
    """Return the three parts of a message."""
    topic = next(topic for kind, topic in _KINDS if isinstance(header, kind))
    return [topic(header.camera), header.model_dump_json().encode(), payload]


def decode_message(parts: Sequence[Any]) -> tuple[Header, Any]:
    """Return the header and the payload of a message.

    Raises:
        WireError: it isn't one of version 1, or says things that can't be.
    """
    if len(parts) != 3:
        raise WireError(f"a message has three parts, not {len(parts)}")
    topic, head, payload = bytes(parts[0]), bytes(parts[1]), parts[2]
    if len(head) > MAX_HEADER_BYTES:
        raise WireError(f"a header of {len(head)} bytes; at most {MAX_HEADER_BYTES} are allowed")
    found = [(kind, expected) for kind, expected in _KINDS if topic.startswith(expected())]
    if not found:
        raise WireError(f"the topic {topic[:80]!r} is neither frame/ nor event/ nor address/")
    kind, expected = found[0]
    _check_version(head)
    try:
        header = kind.model_validate_json(head)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the header"
        raise WireError(f"a header in which {where} is wrong: {first['msg']}") from error
    if topic != expected(header.camera):
        raise WireError(f"the topic {topic[:80]!r} is not that of the camera {header.camera}")
    return header, payload


_KINDS: tuple[tuple[type[Header], Callable[..., bytes]], ...] = (
    (FrameHeader, frame_topic), (EventHeader, event_topic), (AddressHeader, address_topic),
)  # fmt: skip
"""Each kind of message with its topic."""


def _check_version(head: bytes) -> None:
    """Say so where a newer publisher speaks, before its keys look wrong."""
    try:
        found: object = json.loads(head)
    except ValueError as error:
        raise WireError("a header that is no JSON") from error
    version = found.get("v") if isinstance(found, Mapping) else None
    if isinstance(version, int) and version > VERSION:
        raise WireError(
            f"a message of version {version}; this streamderain knows version {VERSION}, upgrade it"
        )
