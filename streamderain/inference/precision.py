"""What a network is computed in on a CPU: floats, or bytes where those are faster. Pure.

What was measured (two cores of an Intel server processor with VNNI and AVX512-BF16 but without AMX,
OpenVINO 2026.4, 720p): in 8 bits ``attention-s`` takes 70 ms where floats take 169, ``attention-m``
164 where they take 476; in bfloat16 they take 1.7 times as long as in float. On an AMD EPYC with
AVX512-BF16, bfloat16 takes half of the time of floats; AMX does better still.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from streamderain.errors import UsageError

__all__ = [
    "PRECISIONS",
    "Precision",
    "check_precision",
    "multiplies_bfloats",
    "multiplies_bytes",
    "overflows",
]

Precision = Literal["auto", "int8", "float"]
PRECISIONS: tuple[Precision, ...] = ("auto", "int8", "float")

BYTES = {"AVX512-VNNI", "AVX-VNNI", "AMX-INT8", "dotprod", "i8mm"}
"""Features with which sums of products of bytes take a quarter of the time of floats."""


def check_precision(precision: str) -> Precision:
    """Return a precision that there is.

    Raises:
        UsageError: there is none of that name.
    """
    for known in PRECISIONS:
        if precision == known:
            return known
    raise UsageError(f"the precision is {', '.join(PRECISIONS)}, not {precision!r}")


def multiplies_bytes(features: Collection[str]) -> bool:
    """Say whether networks in 8 bits are faster on a processor.

    Args:
        features: as :func:`~streamderain.hardware.features_here` names them.
    """
    return not BYTES.isdisjoint(features)


def overflows(features: Collection[str]) -> bool:
    """Say whether sums of products of bytes overflow on a processor: x86 without VNNI.

    It adds pairs of products in 16 bits (``PMADDUBSW``), which large weights of one sign exceed.

    Args:
        features: as :func:`~streamderain.hardware.features_here` names them.
    """
    return "AVX2" in features and not multiplies_bytes(features)


def multiplies_bfloats(features: Collection[str], processor: str) -> bool:
    """Say whether bfloat16 is faster than 32-bit floats on a processor.

    Args:
        features: as :func:`~streamderain.hardware.features_here` names them.
        processor: what it calls itself.
    """
    return "AMX-BF16" in features or ("AVX512-BF16" in features and "AMD" in processor)
