"""The wire: what is encoded is decoded, what is damaged is refused, and the vectors hold."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.errors import WireError
from streamderain.wire import (
    CODECS,
    MAX_HEADER_BYTES,
    PIXEL_FORMATS,
    EventHeader,
    FrameHeader,
    decode_message,
    decode_pixels,
    encode_message,
    encode_pixels,
    event_topic,
    frame_topic,
)
from tests.clips import picture

VECTORS = Path(__file__).parent / "vectors"


def header(**changes):
    plain = {
        "camera": "gate", "run": "0123456789abcdef", "session": 2, "seq": 41,
        "shape": (24, 32, 3), "pts": 90000, "time_base": (1, 90000),
        "t_capture_ns": 1_800_000_000_123_456_789, "t_source": "rtcp",
        "t_publish_ns": 1_800_000_000_200_000_000, "src_index": 40, "decoded": 50,
        "derained": True, "model": "attention-s", "dropped": {"max_fps": 8},
    }  # fmt: skip
    return FrameHeader(**{**plain, **changes})


def wired(parts):
    """Return the parts as they come out of a socket."""
    return [bytes(part) for part in parts]


@pytest.mark.parametrize("pixfmt", PIXEL_FORMATS)
@pytest.mark.parametrize("codec", ["raw", "png"])
def test_lossless_codecs_give_back_every_pixel(codec, pixfmt):
    pixels = picture(24, 32)
    parts = encode_message(header(codec=codec, pixfmt=pixfmt), encode_pixels(pixels, codec, pixfmt))
    got, payload = decode_message(wired(parts))
    assert np.array_equal(decode_pixels(got, payload), pixels)


def test_jpeg_comes_close_in_the_right_colours():
    pixels = np.zeros((24, 32, 3), np.uint8)
    pixels[..., 0] = 200  # red
    got, payload = decode_message(
        wired(encode_message(header(codec="jpeg"), encode_pixels(pixels, "jpeg", quality=95)))
    )
    assert np.abs(decode_pixels(got, payload).astype(int) - pixels).max() < 8


def test_a_raw_frame_is_not_copied():
    pixels = picture(24, 32)
    payload = encode_pixels(pixels, "raw")
    assert np.shares_memory(np.frombuffer(payload, np.uint8), pixels)


@given(
    camera=st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"),
    session=st.integers(0, 2**40),
    seq=st.integers(0, 2**53),
    dropped=st.dictionaries(st.text(max_size=12), st.integers(0, 2**40), max_size=4),
    rain=st.one_of(st.none(), st.floats(0, 1)),
    bypass=st.one_of(st.none(), st.text(max_size=12)),
)
def test_headers_come_back_as_they_were(camera, session, seq, dropped, rain, bypass):
    sent = header(
        camera=camera, session=session, seq=seq, dropped=dropped, rain=rain, bypass=bypass
    )
    got, _ = decode_message(wired(encode_message(sent, b"")))
    assert got == sent


def test_events_come_back_as_they_were():
    sent = EventHeader(
        camera="gate", run="r", t_publish_ns=5, event="state", state="backoff", seq=None,
        decoded=7, dropped={"max_fps": 1}, message="gate can't be reached: connection refused",
    )  # fmt: skip
    parts = wired(encode_message(sent))
    assert parts[0] == b"event/gate/"
    assert parts[2] == b""
    assert decode_message(parts)[0] == sent


def test_a_topic_ends_in_a_slash_so_that_cam1_is_not_cam10():
    assert not frame_topic("cam10").startswith(frame_topic("cam1"))
    assert frame_topic("cam1").startswith(frame_topic())
    assert event_topic("cam1").startswith(event_topic())


def test_keys_that_are_not_known_are_ignored():
    topic, head, payload = wired(encode_message(header(), b""))
    more = json.dumps({**json.loads(head), "tomorrow": [1, 2]}).encode()
    assert decode_message([topic, more, payload])[0] == header()


def changed(**changes):
    topic, head, payload = wired(encode_message(header(), b""))
    return [topic, json.dumps({**json.loads(head), **changes}).encode(), payload]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([b"frame/gate/", b"{}"], "three parts"),
        ([b"frames/gate/", b"{}", b""], "neither"),
        ([b"frame/gate/", b"{", b""], "no JSON"),
        ([b"frame/gate/", b"[1]", b""], "header"),
        ([b"frame/gate/", b" " * (MAX_HEADER_BYTES + 1), b""], "at most"),
        (changed(v=2), "version 2"),
        (changed(v=0), "v is wrong"),
        (changed(camera="../etc"), "camera"),
        (changed(camera="other"), "not that of the camera"),
        (changed(shape=[0, 5, 3]), "shape"),
        (changed(shape=[10**9, 5, 3]), "shape"),
        (changed(shape=[5, 5, 4]), "shape"),
        (changed(seq=-1), "seq"),
        (changed(seq="7"), "seq"),
        (changed(codec="bmp"), "codec"),
        (changed(time_base=[1, 0]), "time_base"),
        (changed(rain=1.5), "rain"),
        (changed(derained=None), "derained"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(parts, words):
    with pytest.raises(WireError, match=words):
        decode_message(parts)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("payload", [b"", b"x", b"\xff\xd8\xff\xe0" + bytes(50)])
def test_a_damaged_payload_is_refused(codec, payload):
    with pytest.raises(WireError):
        decode_pixels(header(codec=codec), payload)


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_a_picture_of_another_size_than_the_header_says_is_refused(codec):
    payload = encode_pixels(picture(30, 32), codec)
    with pytest.raises(WireError, match="should be 32x24 is 32x30"):
        decode_pixels(header(codec=codec), bytes(payload))


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_no_bytes_whatever_raise_anything_else(parts):
    with contextlib.suppress(WireError):
        decode_message(parts)


VECTOR_FILES = sorted(path.name for path in VECTORS.glob("*.json"))


def test_there_are_vectors():
    assert len(VECTOR_FILES) >= 6


@pytest.mark.parametrize("name", VECTOR_FILES)
def test_recorded_messages_are_decoded_as_written_down(name):
    vector = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    parts = [bytes.fromhex(part) for part in vector["parts"]]
    if "error" in vector:
        with pytest.raises(WireError, match=vector["error"]):
            header, payload = decode_message(parts)
            decode_pixels(header, payload)
        return
    header, payload = decode_message(parts)
    assert json.loads(header.model_dump_json()) == vector["header"]
    if "pixels" in vector:
        pixels = decode_pixels(header, payload)
        expected = np.array(vector["pixels"], np.uint8)
        off = np.abs(pixels.astype(int) - expected).max()
        assert off <= vector.get("tolerance", 0)
