"""ONNX files of few nodes: for what backends take and refuse, and for what isn't about networks."""

import numpy as np
import pytest


def network_file(path, dtype, shape, op="Identity"):
    """Write a one-operator ONNX file."""
    onnx = pytest.importorskip("onnx")
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    ends = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    if op == "Transpose":
        ends[1] = onnx.helper.make_tensor_value_info("y", kind, ["n", "w", "h", 3])
        node = onnx.helper.make_node(op, ["x"], ["y"], perm=[0, 2, 1, 3])
    else:
        node = onnx.helper.make_node(op, ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return str(path)


def video_network_file(path):
    """Write a video network of no weights: the frame, brought to its prior as far as that is sure.

    All that is remembered shows in what it gives, in a hundredth of the time of a real one.
    """
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    numbers = {
        "ends": np.array([3, 3, 1], np.int64), "full": np.float32(255), "half": np.float32(0.5),
        "none": np.float32(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["frames"], ["known"], to=kinds.FLOAT),
        helper.make_node("Split", ["known", "ends"], ["frame", "prior", "trust"], axis=3),
        helper.make_node("Sub", ["prior", "frame"], ["apart"]),
        helper.make_node("Mul", ["apart", "trust"], ["moved"]),
        helper.make_node("Div", ["moved", "full"], ["step"]),
        helper.make_node("Add", ["frame", "step"], ["reached"]),
        helper.make_node("Add", ["reached", "half"], ["nearest"]),
        helper.make_node("Clip", ["nearest", "none", "full"], ["levels"]),
        helper.make_node("Cast", ["levels"], ["derained"], to=kinds.UINT8),
    ]
    graph = helper.make_graph(
        nodes, "past",
        [helper.make_tensor_value_info("frames", kinds.UINT8, ["n", "h", "w", 7])],
        [helper.make_tensor_value_info("derained", kinds.UINT8, ["n", "h", "w", 3])],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return str(path)
