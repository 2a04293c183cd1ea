"""What a network is computed in on a CPU: floats, or bytes where those are faster. Pure.

What was measured (two cores of an Intel server processor with VNNI and AVX512-BF16 but without AMX,
OpenVINO 2026.4, 720p): in 8 bits ``attention-s`` takes 70 ms where floats take 169, ``attention-m``
164 where they take 476; in bfloat16 they take 1.7 times as long as in float. With AVX2 alone,
``video-xxs`` takes 2.3 times as long in floats as in 8 bits. On an AMD EPYC with
AVX512-BF16, bfloat16 takes half of the time of floats; AMX does better still.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from streamderain.errors import UsageError

__all__ = ["PRECISIONS", "Precision", "check_precision", "multiplies_bfloats", "multiplies_bytes"]

Precision = Literal["auto", "int8", "float"]
PRECISIONS: tuple[Precision, ...] = ("auto", "int8", "float")

BYTES = {"AVX2", "AVX512-VNNI", "AVX-VNNI", "AMX-INT8", "dotprod", "i8mm"}
"""Features with which sums of products of bytes take less time than those of floats."""


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


def multiplies_bfloats(features: Collection[str], processor: str) -> bool:
    """Say whether bfloat16 is faster than 32-bit floats on a processor.

    Args:
        features: as :func:`~streamderain.hardware.features_here` names them.
        processor: what it calls itself.
    """
    return "AMX-BF16" in features or ("AVX512-BF16" in features and "AMD" in processor)
