"""Record the wire's test vectors: ``python -m tools.wire_vectors tests/vectors``.

Each is a JSON file with ``parts`` (the message, hexadecimal) and what a subscriber in any language
has to make of it: ``header`` and, for frames, ``pixels`` (H×W×3 RGB, each within ``tolerance``), or
``error``, a part of what streamderain itself says of a message that is to be refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from streamderain.frame import Pixels
from streamderain.wire import (
    AddressHeader,
    EventHeader,
    FrameHeader,
    Header,
    encode_message,
    encode_pixels,
)


def gradient(height: int, width: int) -> Pixels:
    """Return a smooth picture in which red, green and blue differ: uint8 H×W×3 RGB."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [40 + 10 * x, 90 + 8 * y, 200 - 5 * x - 3 * y]
    return np.stack(planes, axis=-1).astype(np.uint8)


def frame_header(**changes: Any) -> FrameHeader:
    """Return the header of a frame, with some of it changed."""
    plain: dict[str, Any] = {
        "camera": "gate", "run": "00c0ffee00c0ffee", "session": 1, "seq": 1041,
        "shape": (6, 8, 3), "pts": 5400000, "time_base": (1, 90000),
        "t_capture_ns": 1795236372121345678, "t_source": "rtcp",
        "t_publish_ns": 1795236372160000000, "src_index": 1500, "decoded": 1550,
        "derained": True, "bypass": None, "rain": 0.75, "model": "attention-s",
        "dropped": {"max_fps": 500, "publish": 8},
    }  # fmt: skip
    return FrameHeader(**{**plain, **changes})


def vectors() -> dict[str, dict[str, Any]]:
    """Return all of them by name."""
    pixels = gradient(6, 8)
    made: dict[str, dict[str, Any]] = {}
    for codec, pixfmt, tolerance in (
        ("raw", "rgb24", 0), ("raw", "bgr24", 0), ("png", "rgb24", 0), ("jpeg", "rgb24", 12),
    ):  # fmt: skip
        header = frame_header(codec=codec, pixfmt=pixfmt)
        payload = encode_pixels(pixels, codec, pixfmt, quality=95)
        name = f"frame-{codec}-{pixfmt}" if codec == "raw" else f"frame-{codec}"
        made[name] = _vector(header, payload, pixels=pixels.tolist(), tolerance=tolerance)
    passed = frame_header(
        derained=False, bypass="overload", rain=None, model=None, pts=None, t_source="arrival",
        session=0, seq=0, src_index=0, decoded=1, dropped={},
    )  # fmt: skip
    made["frame-overload"] = _vector(
        passed, encode_pixels(pixels, "raw"), pixels=pixels.tolist(), tolerance=0
    )
    common: dict[str, Any] = {
        "camera": "gate", "run": "00c0ffee00c0ffee", "t_publish_ns": 1795236373000000000,
    }  # fmt: skip
    made["event-heartbeat"] = _vector(
        EventHeader(
            **common, event="heartbeat", state="live", seq=1041, decoded=1550,
            dropped={"max_fps": 500, "publish": 8},
        )
    )  # fmt: skip
    made["event-state"] = _vector(
        EventHeader(
            **common, event="state", state="backoff",
            message="rtsp://10.0.0.5/live can't be reached: connection refused",
        )
    )  # fmt: skip
    entry: dict[str, Any] = {
        "camera": "gate", "book": "b00cb00cb00cb00c", "t_publish_ns": 1795236374000000000,
    }  # fmt: skip
    made["address"] = _vector(
        AddressHeader(
            **entry, seq=92, state="live", run="00c0ffee00c0ffee", node="10.0.0.3",
            addresses=("tcp://10.0.0.3:5601",), push=("tcp://10.0.0.3:5602",),
            since_ns=1795236290000000000, placement=2,
        )
    )  # fmt: skip
    made["address-moving"] = _vector(
        AddressHeader(
            **entry, seq=87, state="moving", placement=1,
            message="its worker is lost; another one takes it over",
        )
    )  # fmt: skip
    whole = made["frame-raw-rgb24"]["parts"]
    made["bad-two-parts"] = {"parts": whole[:2], "error": "three parts"}
    made["bad-short-payload"] = {"parts": [*whole[:2], whole[2][:-2]], "error": "has 144 bytes"}
    newer = json.loads(bytes.fromhex(whole[1])) | {"v": 2}
    made["bad-version"] = {
        "parts": [whole[0], json.dumps(newer).encode().hex(), whole[2]],
        "error": "version 2",
    }
    return made


def _vector(header: Header, payload: Any = b"", **more: Any) -> dict[str, Any]:
    parts = [bytes(part).hex() for part in encode_message(header, payload)]
    return {"parts": parts, "header": json.loads(header.model_dump_json()), **more}


def main() -> int:
    """Write them into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, vector in vectors().items():
        text = json.dumps(vector, ensure_ascii=False, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
