"""What people write on a command line, read: sizes, rates, durations."""

from __future__ import annotations

import re
from fractions import Fraction

from streamderain.errors import UsageError

__all__ = ["parse_bitrate", "parse_duration", "parse_rate", "parse_size"]

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width, in pixels, of ``1280x720``.

    Raises:
        UsageError: it isn't two whole numbers above 0.
    """
    match = re.fullmatch(r"(\d+)[xX×](\d+)", text.strip())
    if not match or min(int(match[1]), int(match[2])) < 1:
        raise UsageError(f"a size is written WIDTHxHEIGHT, e.g. 1280x720, not {text!r}")
    return int(match[2]), int(match[1])


def parse_rate(text: str) -> Fraction:
    """Return the frames a second of ``25``, ``29.97`` or ``30000/1001``.

    Raises:
        UsageError: it isn't a number above 0.
    """
    try:
        rate = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise UsageError(f"a frame rate is a number above 0, e.g. 25 or 30000/1001, not {text!r}")
    return rate.limit_denominator(100_000)


def parse_duration(text: str) -> float:
    """Return the seconds of ``5``, ``5s``, ``500ms``, ``2m``, ``1h`` or ``00:01:30``.

    Raises:
        UsageError: it isn't a number above 0 with one of these units.
    """
    text = text.strip().lower()
    clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)", text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text)
    seconds = 0.0
    if clock:
        seconds = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + float(clock[3])
    elif match and match[2] in _UNITS:
        seconds = float(match[1]) * _UNITS[match[2]]
    if seconds <= 0:
        raise UsageError(
            f"a duration is above 0 and written like 5s, 500ms, 2m, 1h or 00:01:30, not {text!r}"
        )
    return seconds


def parse_bitrate(text: str) -> int:
    """Return the bits a second of ``800k``, ``2M`` or ``1500000``.

    Raises:
        UsageError: it isn't a number with one of these units, or below 1000.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kM]?)", text.strip())
    rate = float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]] if match else 0
    if rate < 1000:
        raise UsageError(f"a bit rate is written like 800k or 2M, not {text!r}")
    return round(rate)
