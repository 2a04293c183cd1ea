"""A chain of convolutions as the bytes of an ONNX file. Pure.

Written by hand, field by field (https://protobuf.dev/programming-guides/encoding; the numbers are
those of ``onnx.proto``), since the package ``onnx`` is not among what streamderain needs.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamderain.inference.backend import PICTURE

__all__ = ["chain_graph", "chain_macs"]

IR_VERSION, OPSET = 8, 17
"""Old enough for every runtime that is supported."""

FLOAT, UINT8, INT8 = 1, 2, 3
"""Types of elements."""
KINDS = {"float32": FLOAT, "uint8": UINT8, "int8": INT8}

SIDE = 3
"""Of the convolutions."""

STEP = 8 / 255
"""Of the activations in 8 bits: they reach to 8."""

Field = tuple[int, "bytes | int | float"]


def chain_macs(channels: int, layers: int) -> int:
    """Return the multiplications for each pixel of :func:`chain_graph`."""
    return SIDE**2 * channels * (channels * layers + 2 * PICTURE)


def chain_graph(channels: int, layers: int, *, int8: bool = False) -> bytes:
    """Return 3×3 convolutions one after the other: uint8 N×H×W×3 in and out, N, H and W free.

    Args:
        channels: of the activations between the first and the last.
        layers: convolutions between these two.
        int8: with activations and weights in 8 bits between them, as networks in 8 bits have them.
    """
    rng = np.random.default_rng(0)
    nodes = [
        _node("Cast", ["frames"], "floats", to=FLOAT),
        _node("Mul", ["floats", "unit"], "scaled"),
        _node("Transpose", ["scaled"], "planes", perm=[0, 3, 1, 2]),
    ]
    weights = [
        _tensor("unit", np.float32(1 / 255)), _tensor("full", np.float32(255)),
        _tensor("none", np.float32(0)), _tensor("step", np.float32(STEP)),
        _tensor("zero", np.uint8(0)), _tensor("weight zero", np.int8(0)),
    ]  # fmt: skip
    last, sizes = "planes", [PICTURE, *[channels] * (layers + 1), PICTURE]
    for index, (given, found) in enumerate(itertools.pairwise(sizes)):
        name, inner = f"conv{index}", given == found == channels
        spread = (2 / (SIDE**2 * given)) ** 0.5
        weight = rng.normal(0, spread, (found, given, SIDE, SIDE)).astype(np.float32)
        if int8 and inner:
            step = 4 * spread / 127
            rounded = np.clip(np.rint(weight / step), -127, 127).astype(np.int8)
            weights += [
                _tensor(f"{name} rounded", rounded),
                _tensor(f"{name} step", np.float32(step)),
            ]
            nodes += [
                _node("DequantizeLinear", [f"{name} rounded", f"{name} step", "weight zero"],
                      f"{name} weight"),
                _node("QuantizeLinear", [last, "step", "zero"], f"{name} bytes"),
                _node("DequantizeLinear", [f"{name} bytes", "step", "zero"], f"{name} given"),
            ]  # fmt: skip
            last = f"{name} given"
        else:
            weights.append(_tensor(f"{name} weight", weight))
        nodes += [
            _node("Conv", [last, f"{name} weight"], name, pads=[1, 1, 1, 1]),
            _node("Relu", [name], f"{name} kept"),
        ]
        last = f"{name} kept"
    nodes += [
        _node("Mul", [last, "full"], "levels"),
        _node("Clip", ["levels", "none", "full"], "clipped"),
        _node("Transpose", ["clipped"], "pixels", perm=[0, 2, 3, 1]),
        _node("Cast", ["pixels"], "derained", to=UINT8),
    ]
    ends = [(11, _frames("frames")), (12, _frames("derained"))]
    graph = _message(
        [*((1, node) for node in nodes), (2, b"chain"), *((5, weight) for weight in weights), *ends]
    )
    opset = _message([(1, b""), (2, OPSET)])
    return _message([(1, IR_VERSION), (2, b"streamderain"), (7, graph), (8, opset)])


def _message(fields: Sequence[Field]) -> bytes:
    """Return fields in protobuf's encoding: whole numbers, floats, and bytes with their length."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_varint(number << 3), _varint(value)]
        elif isinstance(value, float):
            parts += [_varint(number << 3 | 5), struct.pack("<f", value)]
        else:
            parts += [_varint(number << 3 | 2), _varint(len(value)), value]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    """Return a whole number from 0 up, seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: int | list[int]) -> bytes:
    given: list[Field] = [(1, name.encode()) for name in inputs]
    for name, value in attributes.items():
        if isinstance(value, int):
            fields: list[Field] = [(1, name.encode()), (3, value), (20, 2)]
        else:
            fields = [(1, name.encode()), *((8, item) for item in value), (20, 7)]
        given.append((5, _message(fields)))
    return _message([*given, (2, output.encode()), (3, output.encode()), (4, kind.encode())])


def _tensor(name: str, values: np.generic | NDArray[np.generic]) -> bytes:
    stored = np.asarray(values)
    sizes: list[Field] = [(1, size) for size in stored.shape]
    kind = KINDS[stored.dtype.name]
    return _message([*sizes, (2, kind), (8, name.encode()), (9, stored.tobytes())])


def _frames(name: str) -> bytes:
    """Return an end of the graph: uint8 N×H×W×3."""
    sizes: list[Field] = [(1, _message([(2, size.encode())])) for size in ("n", "h", "w")]
    shape = _message([*sizes, (1, _message([(1, PICTURE)]))])
    kind = _message([(1, _message([(1, UINT8), (2, shape)]))])
    return _message([(1, name.encode()), (2, kind)])
