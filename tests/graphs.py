"""ONNX files of one node, for what backends take and refuse."""

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
