"""The attention networks at their own resolution, and in 8 bits."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from streamderain.errors import ModelError  # noqa: E402
from streamderain.models import models_folder  # noqa: E402
from streamderain.networks import registry  # noqa: E402
from streamderain.networks.attention import AttentionConfig, AttentionDerain  # noqa: E402
from streamderain.networks.packed import PackedGraph  # noqa: E402
from streamderain.networks.uint8 import UInt8Graph  # noqa: E402
from streamderain.networks.video import VideoDerain  # noqa: E402
from tools.quantize import main, quantize  # noqa: E402

SMALL = AttentionConfig(stride=4, widths=(16, 24), encoder=(1, 1), decoder=(1,), attention=(4,))


def seeded(network):
    torch.manual_seed(1)
    made = network(SMALL) if isinstance(network, type) else registry.build(network)
    return made.eval().requires_grad_(False)


def frames(shape, channels, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (*shape, channels), dtype=np.uint8)


@pytest.mark.parametrize("name", ["attention-s", "attention-m", "video-xs", "video-s", "video-m"])
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (48, 64)])
def test_at_its_own_resolution_a_network_gives_the_same_but_for_the_order_of_sums(name, size):
    network = seeded(name)
    given = torch.from_numpy(frames((2, *size), network.inputs))
    difference = PackedGraph(network)(given).int() - UInt8Graph(network)(given).int()
    assert difference.abs().max() <= 1
    assert difference.count_nonzero() <= difference.numel() // 1000


def smooth(count, channels):
    """Pictures whose contents are no noise: blurred noise, in the range of pictures."""
    cv2 = pytest.importorskip("cv2")
    batches = []
    for index in range(count):
        batch = frames((2, 64, 96), channels, index)
        soft = [cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 4) for picture in batch]
        stretched = [(picture - 127) * 6 + 127 for picture in soft]
        batches.append(np.clip(stretched, 0, 255).astype(np.uint8))
    batches[0][0, :8], batches[0][0, 8:16] = 0, 255  # ranges go from black to white
    return batches


@pytest.fixture(scope="module", params=[AttentionDerain, VideoDerain])
def pair(request):
    network = seeded(request.param)
    with torch.no_grad():  # of new weights, the rain would be as large as the picture
        network.head[0].weight.mul_(0.2)
    return network, quantize(network, smooth(4, network.inputs), {"name": "small"})


def test_in_eight_bits_it_is_nearly_the_same(pair):
    network, model = pair
    given = smooth(6, network.inputs)[-1]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for cut in (np.s_[:], np.s_[:, :61, :83]):
        part = np.ascontiguousarray(given[cut])
        (derained,) = session.run(None, {"frames": part})
        plain = UInt8Graph(network)(torch.from_numpy(part)).numpy()
        assert derained.shape == plain.shape
        assert np.abs(derained.astype(int) - plain).mean() < 1


def test_what_is_added_up_is_not_rounded_and_attention_stays_in_floats(pair):
    _, model = pair
    nodes = model.graph.node
    dequantized = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    quantized = {node.input[0] for node in nodes if node.op_type == "QuantizeLinear"}
    convolutions = {node.input[1]: node for node in nodes if node.op_type == "Conv"}
    in_eight = {name for name, node in convolutions.items() if node.input[0] in dequantized}
    assert len(in_eight) > 10
    for name, node in convolutions.items():
        if any(part in name for part in ("attention.reduce", "attention.expand", ".score")):
            assert name not in in_eight
        if name.startswith(("rain", "trust", "frame", "difference", "reliability")):
            assert name in in_eight
            assert node.output[0] not in quantized


def test_the_first_weights_of_each_channel_have_a_range_of_their_own(pair):
    _, model = pair
    scales = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.name.startswith("stem.weight") and tensor.name.endswith("scale")
    }
    (scale,) = scales.values()
    assert scale.shape == (16,)
    assert len(np.unique(scale)) > 8


def largest_weight(model):
    kept = [t for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    return max(int(np.abs(onnx.numpy_helper.to_array(t).astype(int)).max()) for t in kept)


def test_two_products_of_bytes_have_a_sum_of_sixteen_bits(pair):
    """As x86 without VNNI adds them, 2 · 255 · 64 < 2¹⁵; what overflows there costs decibels."""
    assert 32 < largest_weight(pair[1]) <= 64
    shipped = sorted(models_folder().glob("*.int8.onnx"))
    assert shipped
    for path in shipped:
        assert 32 < largest_weight(onnx.load(path)) <= 64, path.name


def test_a_network_of_another_family_is_refused():
    network = registry.build("msdrnet-narrow").eval()
    with pytest.raises(ModelError, match="msdrnet-narrow is not of the attention family"):
        quantize(network, [], {"network": "msdrnet-narrow"})


def test_missing_weights_and_pictures_are_a_sentence(tmp_path, capsys):
    missing = tmp_path / "none.safetensors"
    assert main([str(missing), "--data", str(tmp_path)]) == 1
    assert "none.safetensors" in capsys.readouterr().err
