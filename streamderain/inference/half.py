"""ONNX graphs that compute in 16-bit floats and keep their ends, and the residual, in 32 bits.

A network here is uint8 → float → convolutions → the rain → frame − rain → uint8. What lies between
the first convolution and the last is done in half, where a GPU is twice as fast or more; what comes
before (the conversion, pictures that are derived from the frame) and after (the rain taken from the
frame, the blend with the past, rounding) stays as it is, or its 11 bits would show in the picture.

ONNX Runtime's own converter (``onnxruntime.transformers.float16``) takes lists of nodes that are to
stay; this pass finds them by itself, and needs nothing but ``onnx``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["to_half"]

HEAVY = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
"""What is worth it: the region goes from the first of them to the last."""

HARMLESS = HEAVY | {
    "Add", "AveragePool", "Clip", "Concat", "DepthToSpace", "Expand", "Flatten",
    "GlobalAveragePool", "Identity", "LeakyRelu", "Max", "MaxPool", "Min", "Mul", "PRelu",
    "ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "SpaceToDepth", "Split",
    "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Operators that lose nothing by half but its rounding, and whose types follow their inputs'. The
others in the region (norms, square roots, softmax, sorting) stay in 32 bits."""

CHOOSING = frozenset({"ArgMax", "ArgMin", "NonMaxSuppression", "TopK"})
"""Operators that turn a small difference into a large one: a graph with them stays as it is."""

ALWAYS_FLOAT = {"Resize": (1, 2)}
"""Inputs that are 32-bit floats whatever the others are."""


def to_half(model: Any) -> Any | None:
    """Return a copy of a graph that computes in half, or None where it can't.

    Args:
        model: an ``onnx.ModelProto``; stays as it is.

    Returns:
        A graph with the same inputs and outputs; None for graphs with branches or loops, those that
        sort or choose by what they compute, and those without convolutions.
    """
    import onnx

    if CHOOSING.intersection(node.op_type for node in model.graph.node) or any(
        attribute.HasField("g") for node in model.graph.node for attribute in node.attribute
    ):
        return None
    typed = onnx.shape_inference.infer_shapes(model, data_prop=True)
    floats = _floats(typed.graph)
    chosen = [node for node in _between_convolutions(typed.graph) if node.op_type in HARMLESS]
    if not any(node.op_type in HEAVY for node in chosen):
        return None
    _convert(typed.graph, chosen, floats)
    del typed.graph.value_info[:]  # the old types
    return typed


def _floats(graph: Any) -> set[str]:
    """Return the names of all values that are 32-bit floats."""
    import onnx

    kind = onnx.TensorProto.FLOAT
    ends = (*graph.input, *graph.output, *graph.value_info)
    return {value.name for value in ends if value.type.tensor_type.elem_type == kind} | {
        value.name for value in graph.initializer if value.data_type == kind
    }


def _between_convolutions(graph: Any) -> list[Any]:
    """Return the nodes with a convolution before them and one behind them, or that are one."""
    behind: set[str] = set()
    after: list[Any] = []
    for node in graph.node:  # in order of computation, as ONNX asks
        if node.op_type in HEAVY or behind.intersection(node.input):
            behind.update(node.output)
            after.append(node)
    before: set[str] = set()
    found: list[Any] = []
    for node in reversed(after):
        if node.op_type in HEAVY or before.intersection(node.output):
            before.update(name for name in node.input if name)
            found.append(node)
    return found[::-1]


def _float_inputs(node: Any, floats: set[str]) -> Iterator[int]:
    kept = ALWAYS_FLOAT.get(node.op_type, ())
    for index, name in enumerate(node.input):
        if name in floats and index not in kept:
            yield index


def _convert(graph: Any, chosen: list[Any], floats: set[str]) -> None:
    import onnx
    from onnx import helper, numpy_helper

    half = onnx.TensorProto.FLOAT16
    weights = {value.name: value for value in graph.initializer}
    made = {name for node in chosen for name in node.output if name in floats}
    ids = {id(node) for node in chosen}
    halved: dict[str, str] = {}
    nodes: list[Any] = []
    for node in graph.node:
        if id(node) not in ids:
            _take_floats(node, made, halved, nodes)
            nodes.append(node)
            continue
        for index in _float_inputs(node, floats):
            name = node.input[index]
            if name in made:
                continue
            if name not in halved:
                halved[name] = f"{name}/half"
                if name in weights:
                    data = numpy_helper.to_array(weights[name]).astype("float16")
                    graph.initializer.append(numpy_helper.from_array(data, halved[name]))
                else:
                    nodes.append(helper.make_node("Cast", [name], [halved[name]], to=half))
            node.input[index] = halved[name]
        kept = [i for i in ALWAYS_FLOAT.get(node.op_type, ()) if i < len(node.input)]
        if any(node.input[i] in made for i in kept):
            _take_floats(node, made, halved, nodes, kept)
        nodes.append(node)
    for value in graph.output:
        assert value.name not in made, "frames leave a graph as uint8"
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    unused = [value for value in graph.initializer if value.name not in used]
    for value in unused:
        graph.initializer.remove(value)


def _take_floats(
    node: Any,
    made: set[str],
    casts: dict[str, str],
    nodes: list[Any],
    only: list[int] | None = None,
) -> None:
    """Give a node its inputs as 32-bit floats where they have become halves."""
    import onnx
    from onnx import helper

    for index, name in enumerate(node.input):
        if name in made and (only is None or index in only):
            key = f"{name}/float"
            if key not in casts:
                casts[key] = key
                nodes.append(helper.make_node("Cast", [name], [key], to=onnx.TensorProto.FLOAT))
            node.input[index] = key
