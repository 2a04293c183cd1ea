"""Graphs in 16-bit floats: as good as those in 32, with the ends and the residual as they were."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from streamderain.inference.backend import VIDEO  # noqa: E402
from streamderain.inference.half import CHOOSING, to_half  # noqa: E402
from streamderain.models import available_models, resolve_model  # noqa: E402
from tests.clips import picture  # noqa: E402

NAMES = [info.name for info in available_models()]


def run(model, frames):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: frames})[0]


def frames_for(model, height=97, width=131):
    """Two frames, one of them of noise; with some past for networks that take it."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    frames = np.stack([picture(height, width, 1), noise])
    if model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == VIDEO:
        frames = np.concatenate([frames, frames[::-1], frames[..., :1]], axis=3)
    return frames


@pytest.mark.parametrize("name", NAMES)
def test_half_is_a_level_from_whole_at_most(name):
    model = onnx.load(resolve_model(name).path)
    half = to_half(model)
    if half is None:
        assert CHOOSING & {node.op_type for node in model.graph.node}
        return
    onnx.checker.check_model(half, full_check=True)
    frames = frames_for(model)
    difference = np.abs(run(model, frames).astype(int) - run(half, frames))
    assert difference.max() <= 1
    assert difference.mean() < 0.1


def test_the_networks_of_our_own_are_all_computed_in_half():
    for name in ("video-s", "video-m", "attention-s", "attention-m"):
        assert to_half(onnx.load(resolve_model(name).path)) is not None


@pytest.mark.parametrize("name", ["video-m", "attention-m"])
def test_convolutions_are_in_half_and_what_touches_the_frame_is_not(name):
    half = to_half(onnx.load(resolve_model(name).path))
    kinds = {
        value.name: value.type.tensor_type.elem_type
        for value in onnx.shape_inference.infer_shapes(half).graph.value_info
    }
    for node in half.graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "Relu"):
            assert kinds[node.output[0]] == TensorProto.FLOAT16
    last = [node for node in half.graph.node if node.op_type in ("Round", "Sub")]
    floats = [n for n in last if kinds[n.output[0]] == TensorProto.FLOAT]
    assert {node.op_type for node in floats} == {"Round", "Sub"}  # frame - rain
    assert sum(node.op_type == "Cast" for node in half.graph.node) == 4  # at the ends, once each


def test_the_graph_that_was_given_stays_as_it_was():
    model = onnx.load(resolve_model("video-s").path)
    before = model.SerializeToString()
    to_half(model)
    assert model.SerializeToString() == before


def graph_of(nodes, weights):
    ends = [
        helper.make_tensor_value_info(name, TensorProto.UINT8, ["n", "h", "w", 3])
        for name in ("x", "y")
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializer=weights)
    opset = helper.make_opsetid("", 18)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def to_and_fro(inner):
    """Nodes from uint8 frames to a float ``a``, through ``inner``, and from ``b`` back."""
    return [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["f"], ["a"], perm=[0, 3, 1, 2]),
        *inner,
        helper.make_node("Transpose", ["b"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Round", ["t"], ["r"]),
        helper.make_node("Cast", ["r"], ["y"], to=TensorProto.UINT8),
    ]


def weights(name, *shape, scale=0.1):
    data = np.random.default_rng(1).normal(0, scale, shape).astype(np.float32)
    return onnx.numpy_helper.from_array(np.abs(data), name)


def test_what_does_not_bear_half_between_convolutions_stays_whole():
    nodes = to_and_fro(
        [
            helper.make_node("Conv", ["a", "w"], ["c"], kernel_shape=[1, 1]),
            helper.make_node("Sqrt", ["c"], ["s"]),
            helper.make_node("Add", ["s", "s"], ["d"]),
            helper.make_node("Conv", ["d", "w"], ["e"], kernel_shape=[1, 1]),
            helper.make_node("Add", ["e", "c"], ["b"]),  # after the last: from half to whole
        ]
    )
    model = graph_of(nodes, [weights("w", 3, 3, 1, 1)])
    half = to_half(model)
    onnx.checker.check_model(half, full_check=True)
    frames = frames_for(model)
    assert np.abs(run(model, frames).astype(int) - run(half, frames)).max() <= 1


def test_scales_of_resizing_stay_whole():
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    nodes = to_and_fro(
        [
            helper.make_node("Conv", ["a", "w"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Resize", ["c", "", "scales"], ["u"], mode="nearest"),
            helper.make_node("Conv", ["u", "v"], ["b"], kernel_shape=[1, 1]),
        ]
    )
    model = graph_of(nodes, [weights("w", 3, 3, 2, 2), weights("v", 3, 3, 1, 1), scales])
    half = to_half(model)
    frames = frames_for(model, 96, 128)
    assert np.abs(run(model, frames).astype(int) - run(half, frames)).max() <= 1


def test_a_graph_without_convolutions_stays_as_it_is():
    assert to_half(graph_of(to_and_fro([helper.make_node("Relu", ["a"], ["b"])]), [])) is None
