"""A small graph of a YOLO's shape, so that no test needs weights."""

import numpy as np
import pytest


def yolo(path, ending):
    """Write a graph of a YOLO's shape that finds red (0) and blue (1) in cells of 8×8 pixels.

    Args:
        path: where to.
        ending: ``anchors`` for 1×(4+classes)×N, each thing found twice, once a little beside; or
            ``boxes`` for 1×N×6, without any such.
    """
    onnx = pytest.importorskip("onnx", reason="this test needs: pip install onnx")
    from onnx import TensorProto, helper, numpy_helper

    y, x = np.mgrid[0:8, 0:8].reshape(2, -1) * 8.0 + 4
    boxes = np.stack([x, y, np.full(64, 8.0), np.full(64, 8.0)])
    constants = {
        "weights": np.array([[1, -1, 0], [0, -1, 1]], np.float32)[:, :, None, None],
        "flat": np.array([1, 2, 64], np.int64),
        "most": np.array([0.9], np.float32),
        "boxes": np.concatenate([boxes, boxes + 0.5], axis=1)[None].astype(np.float32),
        "corners": np.concatenate([boxes[:2] - 4, boxes[:2] + 4])[None].astype(np.float32),
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["cells", "weights"], ["differences"]),
        helper.make_node("Relu", ["differences"], ["colours"]),
        helper.make_node("Reshape", ["colours", "flat"], ["scores"]),
    ]
    if ending == "anchors":
        nodes += [
            helper.make_node("Mul", ["scores", "most"], ["lower"]),
            helper.make_node("Concat", ["scores", "lower"], ["all"], axis=2),
            helper.make_node("Concat", ["boxes", "all"], ["output"], axis=1),
        ]
        shape = [1, 6, 128]
    else:
        nodes += [
            helper.make_node("ReduceMax", ["scores"], ["best"], axes=[1], keepdims=1),
            helper.make_node("ArgMax", ["scores"], ["index"], axis=1, keepdims=1),
            helper.make_node("Cast", ["index"], ["class"], to=TensorProto.FLOAT),
            helper.make_node("Concat", ["corners", "best", "class"], ["rows"], axis=1),
            helper.make_node("Transpose", ["rows"], ["output"], perm=[0, 2, 1]),
        ]
        shape = [1, 64, 6]
    graph = helper.make_graph(
        nodes, "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
