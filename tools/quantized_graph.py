"""What is changed in a graph in 8 bits by hand, so that runtimes see what it means.

Pure: each function changes an ONNX model that ONNX Runtime's quantiser made, or is about to.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from streamderain.networks.packed import DERAINED, PLACES

__all__ = ["leave_unrounded", "name_places", "shuffle_by_pixel", "take_bytes"]

SCALE, ZERO = "level", "black"
"""What a byte counts, 1/255, and the byte that counts 0."""


def name_places(model: onnx.ModelProto) -> None:
    """Call the bytes between the graph's ends by their names (:data:`PLACES`), for those who cut.

    Args:
        model: a :class:`~streamderain.networks.packed.PackedGraph`, exported.
    """
    graph = model.graph
    joined = next(
        (n for n in graph.node if n.op_type == "Concat" and _becomes(n, "Cast", graph)), None
    )
    widened = [
        n.input[0] for n in graph.node if n.op_type == "Cast" and _to(n) == onnx.TensorProto.FLOAT
    ]
    sources = list(joined.input) if joined is not None else sorted(set(widened))
    names = dict(zip(sources, PLACES, strict=False))
    (narrowed,) = (
        n for n in graph.node if n.op_type == "Cast" and _to(n) == onnx.TensorProto.UINT8
    )
    (turned,) = (n for n in graph.node if narrowed.output[0] in n.input)
    names[turned.output[0]] = DERAINED
    _rename(graph, names)


def shuffle_by_pixel(model: onnx.ModelProto) -> None:
    """Let what is shuffled into 2×2 pixels come pixel by pixel instead of channel by channel.

    Bytes lie channel by channel in memory, so that then whole rows of them are copied: a third of
    the time in OpenVINO.
    """
    weights = {weight.name: weight for weight in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type != "DepthToSpace":
            continue
        (mode,) = (attribute for attribute in node.attribute if attribute.name == "mode")
        (size,) = (attribute.i for attribute in node.attribute if attribute.name == "blocksize")
        mode.s = b"DCR"
        for name in made[node.input[0]].input[1:]:
            values = numpy_helper.to_array(weights[name])
            by_channel = values.reshape(-1, size**2, *values.shape[1:])
            by_pixel = by_channel.swapaxes(0, 1).reshape(values.shape)
            weights[name].CopyFrom(numpy_helper.from_array(by_pixel.copy(), name))


def leave_unrounded(model: onnx.ModelProto, given_by: set[str]) -> None:
    """Take the rounding away behind some nodes, by their names."""
    graph = model.graph
    given = {node.output[0] for node in graph.node if node.name in given_by}
    rounded = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"}
    passed: dict[str, str] = {}
    for node in list(graph.node):
        if node.op_type == "QuantizeLinear" and node.input[0] in given:
            graph.node.remove(node)
        elif node.op_type == "DequantizeLinear" and rounded.get(node.input[0]) in given:
            passed[node.output[0]] = rounded[node.input[0]]
            graph.node.remove(node)
    _rewire(graph, passed)


def take_bytes(model: onnx.ModelProto) -> None:
    """Let what comes as bytes go into the first convolution as the same bytes.

    Widening, dividing by 255 and quantising again is nothing but three walks through memory; that a
    byte means its 255th part is what a ``DequantizeLinear`` says. It stands before the bytes are
    turned to planes: OpenVINO turns them as floats otherwise, and computes in floats.
    """
    graph = model.graph
    made = {name: node for node in graph.node for name in node.output}
    for divide in [n for n in graph.node if n.op_type == "Div"]:
        widen = made.get(divide.input[0])
        if widen is None or widen.op_type != "Cast" or _to(widen) != onnx.TensorProto.FLOAT:
            continue
        place = list(graph.node).index(divide)
        dequantize = helper.make_node(
            "DequantizeLinear", [widen.input[0], SCALE, ZERO], [divide.output[0]],
            name=f"{divide.name}_bytes",
        )  # fmt: skip
        graph.node.remove(divide)
        graph.node.remove(widen)
        graph.node.insert(place - 1, dequantize)
        planes = {
            node.name
            for node in graph.node
            if node.op_type == "Transpose" and divide.output[0] in node.input
        }
        leave_unrounded(model, planes)
    graph.initializer.append(numpy_helper.from_array(np.array(1 / 255, np.float32), SCALE))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), ZERO))


def _becomes(node: onnx.NodeProto, kind: str, graph: onnx.GraphProto) -> bool:
    """Say whether what a node gives goes into a node of a kind."""
    return any(other.op_type == kind and node.output[0] in other.input for other in graph.node)


def _to(cast: onnx.NodeProto) -> int:
    (attribute,) = (a for a in cast.attribute if a.name == "to")
    return int(attribute.i)


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = names.get(name, name)
    _rewire(graph, names)


def _rewire(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Let nodes take other tensors; drop the weights that nobody takes any more."""
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    used = {name for node in graph.node for name in node.input}
    for weight in list(graph.initializer):
        if weight.name not in used:
            graph.initializer.remove(weight)
