"""What a camera did, as figures and as a line of a log: pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from streamderain.live.counts import CameraCount

__all__ = ["CameraStats", "stats_fields", "stats_line"]


@dataclass(frozen=True)
class CameraStats:
    """A camera at one moment.

    Attributes:
        camera: id.
        state, message: what it does, and why where something is wrong.
        count: where its frames are.
        corrupt: frames that came damaged.
        damaged: packets that could not be decoded at all.
        connects: connections that gave a frame.
        unsent: messages that no worker took (PUSH).
        at: when, monotonic seconds.
    """

    camera: str
    state: str
    message: str | None
    count: CameraCount
    corrupt: int
    damaged: int
    connects: int
    unsent: int
    at: float


def stats_line(now: CameraStats, before: CameraStats | None = None) -> str:
    """Return a line: rates since ``before``, and totals that add up.

    Example::

        gate: live, 25.0 frames/s, 2500 decoded = 2490 publish + 4 max_fps + 6 on their way,
        2400 derained, 90 overload
    """
    count, parts = now.count, [f"{now.camera}: {now.state}"]
    if before is not None and now.at > before.at:
        rate = (count.decoded - before.count.decoded) / (now.at - before.at)
        parts.append(f"{rate:.1f} frames/s")
    for name, outlet in count.outlets.items():
        dropped = dict(count.dropped)
        for reason, frames in outlet.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + frames
        terms = [f"{outlet.written} {name}"]
        terms += [f"{frames} dropped ({reason})" for reason, frames in sorted(dropped.items())]
        under_way = count.waiting + outlet.waiting
        terms += [f"{under_way} on their way"] if under_way else []
        parts.append(f"{count.decoded} decoded = {' + '.join(terms)}")
    parts.append(f"{count.derained} derained")
    parts += [f"{frames} {reason}" for reason, frames in sorted(count.bypassed.items())]
    for label, number in (
        ("corrupt frames", now.corrupt),
        ("damaged packets", now.damaged),
        ("not taken", now.unsent),
        ("connects", now.connects if now.connects > 1 else 0),
    ):
        parts += [f"{number} {label}"] if number else []
    return ", ".join(parts)


def stats_fields(now: CameraStats) -> dict[str, Any]:
    """Return the same as plain data, for logs that programs read."""
    count = now.count
    return {
        "camera": now.camera, "state": now.state, "decoded": count.decoded,
        "waiting": count.waiting, "derained": count.derained, "bypassed": count.bypassed,
        "dropped": count.dropped, "corrupt": now.corrupt, "damaged": now.damaged,
        "connects": now.connects,
        "outputs": {name: asdict(outlet) for name, outlet in count.outlets.items()},
    }  # fmt: skip
