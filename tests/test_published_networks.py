"""The four published networks and their blocks: sizes as specified, parts that do what they say."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from streamderain.networks import (  # noqa: E402
    attention_embedding,
    dtpnet,
    dualstage,
    msdrnet,
)
from streamderain.networks.blocks import rectified_contrast  # noqa: E402
from streamderain.networks.count import multiplications  # noqa: E402
from streamderain.networks.dualstage import (  # noqa: E402
    ClusteredAttention,
    MaskedWindowAttention,
    RainMask,
    from_windows,
    to_windows,
)
from streamderain.networks.morphology import DIRECTIONS, opening, top_hats  # noqa: E402
from streamderain.networks.msdrnet import Res2Block  # noqa: E402
from streamderain.networks.recurrent import ConvLSTM  # noqa: E402
from streamderain.networks.transformer import ChannelLayerNorm, TransposedAttention  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def size_of(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("family", "name", "parameters", "giga"),
    [
        (attention_embedding, "attention-embedding", 2.883e6, 25.0),
        (dtpnet, "dtpnet", 45e6, 236.0),
    ],
    ids=["attention-embedding", "dtpnet"],
)
def test_they_are_as_large_as_published(family, name, parameters, giga):
    with torch.device("meta"):  # shapes alone
        network = family.build(name)
    assert size_of(network) == pytest.approx(parameters, rel=0.006)
    assert multiplications(network.eval(), 256, 256) / 1e9 == pytest.approx(giga, rel=0.02)


def test_the_embedding_network_has_its_published_shapes():
    parts = attention_embedding.build("attention-embedding").eval().parts(torch.rand(1, 3, 96, 96))
    assert parts.derained.shape == (1, 3, 96, 96)
    assert parts.embedding.shape == (1, 256, 12, 12)
    assert [tuple(each.shape) for each in parts.attention] == [
        (1, 1, 96, 96), (1, 1, 48, 48), (1, 1, 24, 24),
    ]  # fmt: skip
    assert all(each.min() > 0 and each.max() < 1 for each in parts.attention)


def test_the_rain_autoencoder_has_the_same_bottleneck_and_gives_rain():
    network = attention_embedding.RainAutoencoder().eval()
    rain = torch.rand(1, 3, 96, 96)
    assert network.embed(rain).shape == (1, 256, 12, 12)
    assert network(rain).shape == rain.shape


def test_the_ablation_differs_by_the_parts_that_it_names():
    names = [name for name, config in attention_embedding.CONFIGS.items() if config]
    whole, cab, plain = (size_of(attention_embedding.build(name)) for name in names)
    block = size_of(attention_embedding.ChannelAttentionBlock(32))
    assert cab - plain == 5 * block
    assert whole > cab


def test_rlcn_is_the_contrast_of_a_window_with_true_counts_at_the_border():
    picture = torch.rand(1, 1, 20, 23, dtype=torch.float64)
    found = rectified_contrast(picture)[0, 0].numpy()
    plain = picture[0, 0].numpy()
    for y, x in [(0, 0), (3, 22), (10, 11), (19, 5)]:
        window = plain[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5]
        expected = max(plain[y, x] - window.mean(), 0) / (window.std() + 1e-5)
        assert found[y, x] == pytest.approx(min(expected, 1), rel=1e-6)


def test_rlcn_of_a_plain_wall_is_nothing():
    assert rectified_contrast(torch.full((1, 3, 16, 16), 0.4)).abs().max() < 1e-2


def test_dtpnets_stages_refine_one_picture():
    network = dtpnet.build("dtpnet-narrow").eval()
    stages = network.stages(torch.rand(1, 3, 32, 40))
    assert stages.first.shape == stages.derained.shape == (1, 3, 32, 40)
    assert not torch.equal(stages.first, stages.derained)


def test_transposed_attention_costs_what_pixels_do_not_their_square():
    network = TransposedAttention(16, 2)

    def cost(side):
        from torch.utils.flop_counter import FlopCounterMode

        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.rand(1, 16, side, side))
        return counter.get_total_flops()

    assert cost(32) == 4 * cost(16)


def test_the_norm_of_channels_gives_each_pixel_a_variance_of_one():
    normalised = ChannelLayerNorm(32)(5 * torch.randn(2, 32, 4, 5))
    assert torch.allclose(normalised.var(dim=1, unbiased=False), torch.ones(2, 4, 5), atol=1e-3)


def test_a_convlstm_forgets_what_its_gate_lets_go():
    memory = ConvLSTM(4)
    with torch.no_grad():
        memory.gates.weight.zero_()
        memory.gates.bias.zero_()
        memory.gates.bias[4:8] = -50.0  # forget
        memory.gates.bias[0:4] = 50.0  # enter
        memory.gates.bias[8:12] = 0.5  # new
    state = (torch.rand(1, 4, 3, 3), torch.full((1, 4, 3, 3), 9.0))
    hidden, (_, cell) = memory(torch.rand(1, 4, 3, 3), state)
    assert torch.allclose(cell, torch.full_like(cell, float(np.tanh(0.5))))
    assert torch.allclose(hidden, 0.5 * torch.tanh(cell))


def test_msdrnet_gives_three_scales_that_add_up():
    network = msdrnet.build("msdrnet-narrow").eval()
    rainy = torch.rand(1, 3, 32, 48)
    scales = network.scales(rainy)
    sizes = [(1, 3, 32, 48), (1, 3, 16, 24), (1, 3, 8, 12)]
    assert [tuple(each.shape) for each in scales.derained] == sizes
    assert [tuple(each.shape) for each in scales.rain] == sizes
    detail = network.detail(rainy)
    for level, (derained, rain) in enumerate(zip(scales.derained, scales.rain, strict=True)):
        shrunk = msdrnet.shrunk(rainy, 2**level)
        assert torch.allclose(derained, shrunk - rain + detail[level], atol=1e-6)


def test_a_res2_blocks_groups_see_ever_further():
    block = Res2Block(16)
    x = torch.zeros(1, 16, 21, 21)
    seen = []
    for group in range(4):
        lit = x.clone()
        lit[0, 4 * group - 4 if group else 0, 10, 10] = 1.0
        seen.append(((block(lit) - block(x)).abs().sum(dim=1)[0] > 0).sum().item())
    assert seen[0] <= seen[1]
    assert seen[1] > 9  # through two convolutions


def element(length, direction):
    if direction == (0, 1):
        return np.ones((1, length), np.uint8)
    if direction == (1, 0):
        return np.ones((length, 1), np.uint8)
    line = np.eye(length, dtype=np.uint8)
    return line if direction == (1, 1) else np.ascontiguousarray(line[:, ::-1])


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("length", [3, 7, 15])
def test_openings_are_those_of_opencv(direction, length):
    picture = np.random.default_rng(1).random((30, 41), np.float32)
    expected = cv2.morphologyEx(picture, cv2.MORPH_OPEN, element(length, direction))
    found = opening(torch.from_numpy(picture)[None, None], length, direction)[0, 0].numpy()
    assert np.allclose(found, expected)


def test_a_thin_streak_stands_out_in_top_hats_and_a_wall_does_not():
    picture = torch.full((1, 1, 64, 64), 0.3)
    picture[..., 10:40, 20] = 0.9  # a streak, 30 long
    picture[..., 45:, :] = 0.8  # a wall
    hats = top_hats(picture, (7, 15))
    assert hats.shape == (1, 8, 64, 64)
    assert hats[0, :, 25, 20].max() > 0.5
    assert hats[0, :, 55, 30].max() == 0


def test_a_mask_is_between_zero_and_one_and_moves_with_the_picture():
    mask = RainMask()
    picture = torch.rand(1, 3, 64, 64)
    found = mask(picture)
    assert 0 < found.min() < found.max() < 1
    moved = mask(torch.roll(picture, 5, dims=3))
    assert torch.allclose(moved[..., 30:40, 30:40], found[..., 30:40, 25:35], atol=1e-6)


def test_windows_can_be_put_back_together():
    x = torch.rand(2, 5, 16, 24)
    windows = to_windows(x)
    assert windows.shape == (2 * 2 * 3, 64, 5)
    assert torch.equal(windows[0].T.reshape(5, 8, 8), x[0, :, :8, :8])
    assert torch.equal(from_windows(windows, 16, 24), x)


def test_rainy_places_are_weak_answers():
    attention = MaskedWindowAttention(16, 1, shifted=False)
    x, dry = torch.randn(1, 16, 8, 8), torch.zeros(1, 1, 8, 8)
    wet = dry.clone()
    wet[..., 2, 3] = 1.0
    changed = x.clone()
    changed[..., 2, 3] += 10.0
    elsewhere = np.s_[..., 5:, 5:]
    influence = (attention(changed, dry) - attention(x, dry))[elsewhere].abs().mean()
    hidden = (attention(changed, wet) - attention(x, wet))[elsewhere].abs().mean()
    assert hidden < 0.1 * influence


@pytest.mark.parametrize("rolled", [False, True])
def test_clustered_attention_reaches_across_the_picture(rolled):
    attention = ClusteredAttention(16, 4, rolled)
    with torch.no_grad():
        attention.prototypes.copy_(torch.eye(16)[:4])
    x = 0.01 * torch.randn(1, 16, 16, 16)
    x[:, 0] = 1.0  # one cluster everywhere,
    x[:, 0, 0, :], x[:, 1, 0, :] = 0.0, 1.0  # but for the first
    x[:, 0, 15, :], x[:, 1, 15, :] = 0.0, 1.0  # and the last row
    changed = x.clone()
    changed[0, 5:, 15, 15] += 3.0
    influence = (attention(changed) - attention(x))[0].abs().sum(dim=0)
    assert influence[0].max() > 1e-3  # from the last row to the first


def test_clustered_attention_puts_every_place_back():
    attention = ClusteredAttention(8, 4, rolled=True)
    x = torch.randn(2, 8, 16, 16)
    with torch.no_grad():
        attention.prototypes.copy_(attention.prototypes[:1].clone())  # one cluster: the order stays
        attention.qkv.weight.zero_()
        attention.qkv.bias.zero_()
        attention.qkv.weight[16:, :, 0, 0] = torch.eye(8)  # values are the input
        attention.qkv.bias[:8] = 0.0
        attention.out.weight.copy_(torch.eye(8)[..., None, None])
        attention.out.bias.zero_()
    # Nobody asks for anything, so each place gathers the mean of its 64, which are rolled by 32;
    # four prototypes that are one make it a quarter sure of its cluster.
    places = torch.roll(x.flatten(2), -32, dims=-1).reshape(2, 8, 4, 64)
    means = places.mean(dim=-1, keepdim=True).expand(-1, -1, -1, 64).flatten(2)
    expected = 0.25 * torch.roll(means, 32, dims=-1).reshape(x.shape)
    assert torch.allclose(attention(x), expected, atol=1e-6)


def test_dualstages_parts_add_up():
    network = dualstage.build("dualstage-narrow").eval()
    rainy = torch.rand(1, 3, 32, 64)
    found = network.restoration(rainy)
    assert torch.allclose(found.first, rainy - network.suppression(rainy, found.mask))
    assert found.derained.shape == rainy.shape
    assert found.mask.shape == (1, 1, 32, 64)
