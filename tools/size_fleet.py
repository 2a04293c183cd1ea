"""What so many cameras need, from what a frame costs: ``python -m tools.size_fleet ...``.

Milliseconds of one core for a frame are what ``streamderain bench`` prints (*CPU ms/frame*); for a
GPU they are those of the whole card, and a "core" below is a card.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from streamderain.errors import UsageError
from tools.ending import ends_in_a_sentence

__all__ = ["Frame", "Need", "main", "need", "table"]

DAY_S = 86_400


@dataclass(frozen=True)
class Frame:
    """What a camera's frames cost.

    Attributes:
        rainy_ms: of one core, one that is cleaned.
        dry_ms: one that is looked at and passes.
        fps: frames a second.
        rainy: share of the time in which it rains, 0 to 1.
    """

    rainy_ms: float
    dry_ms: float
    fps: float
    rainy: float


@dataclass(frozen=True)
class Need:
    """What cameras need.

    Attributes:
        live: cores, with rain on all cameras at once and room to spare.
        recorded: cores that clean each day's recordings within a day.
        core_hours: a camera and day, on average.
    """

    live: int
    recorded: int
    core_hours: float


def need(cameras: int, frame: Frame, load: float) -> Need:
    """Return what so many cameras need.

    Args:
        cameras: how many, 1 or more.
        frame: what a frame costs.
        load: share of their time that cores may be at work, above 0 to 1.

    Raises:
        UsageError: a figure is out of its range.
    """
    if cameras < 1:
        raise UsageError("there is 1 camera or more")
    if not (min(frame.rainy_ms, frame.dry_ms, frame.fps) > 0 and 0 <= frame.rainy <= 1):
        raise UsageError("times and rates are above 0, and it rains for a share of 0 to 1")
    if not 0 < load <= 1:
        raise UsageError("the load is above 0 and not above 1")
    mean_ms = frame.rainy * frame.rainy_ms + (1 - frame.rainy) * frame.dry_ms
    return Need(
        live=math.ceil(round(cameras * frame.fps * frame.rainy_ms / 1000 / load, 6)),
        recorded=math.ceil(round(cameras * frame.fps * mean_ms / 1000 / load, 6)),
        core_hours=DAY_S * frame.fps * mean_ms / 1000 / 3600,
    )


def table(cameras: Sequence[int], frame: Frame, load: float, price: float | None) -> str:
    """Return what cameras need, in Markdown; with what a camera and day costs at a price."""
    cost = "" if price is None else " cost of a camera and day |"
    lines = [
        "| cameras | cores, live in the rain | cores, recordings | core-hours a camera and day |"
        + cost,
        "| --: | --: | --: | --: |" + ("" if price is None else " --: |"),
    ]
    for number in cameras:
        found = need(number, frame, load)
        paid = "" if price is None else f" {found.core_hours * price:.2f} |"
        lines.append(
            f"| {number:,} | {found.live:,} | {found.recorded:,} | {found.core_hours:.2f} |{paid}"
        )
    return "\n".join(lines)


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.size_fleet", description=__doc__)
    parser.add_argument("--rainy-ms", type=float, required=True, help="of a core, cleaned")
    parser.add_argument("--dry-ms", type=float, required=True, help="of a core, passed")
    parser.add_argument("--fps", type=float, default=25.0, help="of a camera")
    parser.add_argument("--rainy", type=float, default=0.1, help="share of the time with rain")
    parser.add_argument("--load", type=float, default=0.7, help="cores are at work at most")
    parser.add_argument("--price", type=float, help="of a core-hour, in any money")
    parser.add_argument("--cameras", type=int, nargs="+", default=(1, 10, 100, 1000, 10_000))
    args = parser.parse_args(arguments)
    frame = Frame(args.rainy_ms, args.dry_ms, args.fps, args.rainy)
    print(table(args.cameras, frame, args.load, args.price))
    return 0


if __name__ == "__main__":
    sys.exit(main())
