"""The attention networks on pictures as codecs hold them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from streamderain.conversion import from_rgb, to_rgb  # noqa: E402
from streamderain.frame import Colour, Planes, pixels_of  # noqa: E402
from streamderain.inference.packing import Packing  # noqa: E402
from streamderain.networks import registry  # noqa: E402
from streamderain.networks.packed import DERAINED, PLACES  # noqa: E402
from streamderain.networks.planar import PlanarGraph  # noqa: E402
from streamderain.networks.video import VideoDerain  # noqa: E402
from tests.coded import coded  # noqa: E402
from tests.test_packed import SMALL, smooth  # noqa: E402
from tools.quantize import quantize  # noqa: E402


def seeded(network, rain=0.2):
    torch.manual_seed(1)
    made = network if isinstance(network, torch.nn.Module) else registry.build(network)
    with torch.no_grad():  # of new weights, the rain would be as large as the picture
        made.head[0].weight.mul_(rain)
    return made.eval().requires_grad_(False)


def places_of(packing, planes):
    into = np.empty((*packing.grid(*planes.size), packing.side**2 * 3 // 2), np.uint8)
    packing.pack_planes(planes, into)
    return into


def parts(network):
    """Pictures as planes and the same as RGB, with a past for video; well inside of the gamut."""
    given = smooth(2, network.inputs)[1][0]
    muted = (given * 0.45 + 70).astype(np.uint8)
    picture = coded(muted[..., :3])
    if network.inputs == 3:
        return [picture], pixels_of(picture)
    prior, reliability = coded(muted[..., 3:6]), given[..., 6]
    stacked = np.concatenate([pixels_of(picture), pixels_of(prior), reliability[..., None]], axis=2)
    return [picture, prior, reliability], stacked


def through(graph, network, given):
    packing = Packing(network.config.stride, network.multiple)
    places = [places_of(packing, part) for part in given[:2]]
    if len(given) == 3:
        into = np.empty((*packing.grid(*given[0].size), packing.side**2), np.uint8)
        packing.pack(given[2], into)
        places.append(into)
    derained = Planes(np.empty_like(given[0].samples), given[0].colour)
    packing.unpack_planes(graph([place[None] for place in places])[0], derained)
    return derained


@pytest.mark.parametrize("name", ["attention-s", "video-xs", "video-s"])
def test_it_is_the_same_network_without_the_way_over_rgb(name):
    network = seeded(name)
    given, in_rgb = parts(network)
    graph = PlanarGraph(network)
    made = through(lambda p: graph(*map(torch.from_numpy, p)).numpy(), network, given)
    expected = network(torch.from_numpy(in_rgb).permute(2, 0, 1)[None].float() / 255)[0]
    levels = (expected.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    wanted = coded(levels)
    assert np.abs(wanted.luma.astype(int) - given[0].luma).mean() > 1, "it does something"
    assert np.abs(made.luma.astype(int) - wanted.luma).mean() < 0.4
    for one, other in zip(made.chroma, wanted.chroma, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 0.4


def test_a_network_that_does_nothing_gives_the_planes_that_it_got():
    network = seeded(VideoDerain(SMALL), rain=0)
    with torch.no_grad():
        network.head[0].bias[:48] = 0  # of the rain
        network.head[0].bias[48:] = -100  # of the trust
    given, _ = parts(network)
    made = through(
        lambda p: PlanarGraph(network)(*map(torch.from_numpy, p)).numpy(), network, given
    )
    assert np.array_equal(made.samples, given[0].samples)


@pytest.mark.parametrize(("matrix", "range"), [("bt709", "tv"), ("smpte170m", "tv")])
def test_the_stem_sees_the_rgb_that_the_planes_mean(matrix, range):
    from streamderain.networks.planar import ZERO
    from streamderain.networks.planar import to_rgb as weights

    colour = Colour(matrix, range)
    levels = np.full((16, 16, 3), (180, 90, 40), np.uint8)
    frame = from_rgb(levels, colour, "yuv420p")
    samples = frame.to_ndarray()
    sample = torch.tensor([samples[0, 0], samples[16, 0], samples[20, 0]]) / 255
    seen = (weights() @ (sample - torch.tensor(ZERO)) * 255).numpy()
    assert np.abs(to_rgb(frame, colour)[0, 0].astype(int) - (180, 90, 40)).max() <= 3
    assert np.abs(seen - (180, 90, 40)).max() <= (3 if matrix == "bt709" else 25)


@pytest.fixture(scope="module")
def pair():
    network = seeded(VideoDerain(SMALL))
    return network, quantize(network, smooth(4, network.inputs), {"name": "small"}, planes=True)


def test_in_eight_bits_it_is_nearly_the_same(pair):
    network, model = pair
    assert [end.name for end in model.graph.input] == list(PLACES)
    assert [end.name for end in model.graph.output] == [DERAINED]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given, _ = parts(network)
    graph = PlanarGraph(network)
    plain = through(lambda p: graph(*map(torch.from_numpy, p)).numpy(), network, given)
    made = through(
        lambda p: session.run(None, dict(zip(PLACES, p, strict=True)))[0], network, given
    )
    assert np.abs(made.samples.astype(int) - plain.samples).mean() < 1


def test_bytes_go_into_the_first_convolution_as_they_are(pair):
    _, model = pair
    assert not [node for node in model.graph.node if node.op_type == "Div"]
    dequantized = {n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    (turned,) = (
        n for n in model.graph.node
        if n.op_type == "Transpose" and any(n.output[0] in c.input and "stem" in c.input[1]
                                            for c in model.graph.node if c.op_type == "Conv")
    )  # fmt: skip
    assert turned.input[0] in dequantized
