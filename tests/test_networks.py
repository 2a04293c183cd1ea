"""The PyTorch networks."""

import pytest

torch = pytest.importorskip("torch")

from streamderain.networks.attention import AttentionConfig, AttentionDerain  # noqa: E402
from streamderain.networks.blocks import (  # noqa: E402
    ChannelAttention,
    MultiScalePixelAttention,
    ResidualBlock,
)
from streamderain.networks.count import macs_per_pixel, multiplications  # noqa: E402
from streamderain.networks.registry import BUILDERS, build  # noqa: E402

SMALL = AttentionConfig(stride=2, widths=(8, 16), encoder=(1, 1), decoder=(1,), attention=(4,))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return AttentionDerain(SMALL).eval()


@pytest.mark.parametrize("name", sorted(BUILDERS))
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 24), (33, 17), (48, 64)])
def test_any_size_comes_out_as_it_went_in(name, height, width):
    network = build(name)
    with torch.no_grad():
        derained = network(torch.rand(2, network.inputs, height, width))
    assert derained.shape == (2, 3, height, width)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_the_same_seed_gives_the_same_network(name):
    def made():
        torch.manual_seed(7)
        return build(name).state_dict()

    first, second = made(), made()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_padding_repeats_the_edge(network):
    """A picture that needs padding gives what the picture padded by hand gives."""
    rainy = torch.rand(1, 3, 13, 18)
    by_hand = torch.cat([rainy, rainy[:, :, -1:].expand(-1, -1, 3, -1)], dim=2)
    by_hand = torch.cat([by_hand, by_hand[:, :, :, -1:].expand(-1, -1, -1, 2)], dim=3)
    assert network.multiple == 4
    with torch.no_grad():
        expected = network.restore(by_hand)[:, :, :13, :18]
        assert torch.allclose(network(rainy), expected, atol=1e-6)


def test_pictures_of_a_batch_do_not_mix(network):
    rainy = torch.rand(3, 3, 16, 20)
    with torch.no_grad():
        alone = torch.cat([network(rainy[n : n + 1]) for n in range(3)])
        assert torch.allclose(network(rainy), alone, atol=1e-5)


def test_rain_is_the_residual(network):
    rainy = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(rainy), rainy - network.rain(rainy))
        for parameter in network.head.parameters():
            parameter.zero_()
        assert torch.equal(network(rainy), rainy)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_weight_learns(name):
    torch.manual_seed(0)
    network = build(name)
    rainy = torch.rand(2, network.inputs, 32, 32)
    # Coarser outputs are there for the losses alone.
    coarse = network.scales(rainy).derained if hasattr(network, "scales") else []
    outputs = [network(rainy), *coarse]
    sum(output.square().mean() for output in outputs).backward()
    idle = [
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert idle == []


def test_channel_attention_scales_whole_channels_by_less_than_one():
    torch.manual_seed(0)
    x = torch.rand(2, 8, 5, 6) + 0.5
    ratio = ChannelAttention(8)(x) / x
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio))
    assert 0 < ratio.min() < ratio.max() < 1


def test_pixel_attention_is_one_map_between_zero_and_one():
    torch.manual_seed(0)
    attention = MultiScalePixelAttention(8, 4)
    encoder, decoder = torch.randn(2, 2, 8, 9, 10)
    weights = attention.attention(encoder, decoder)
    assert weights.shape == (2, 1, 9, 10)
    assert 0 < weights.min() < weights.max() < 1
    assert torch.equal(attention(encoder, decoder), weights * encoder)


def test_a_residual_block_without_weights_is_the_identity():
    block = ResidualBlock(4)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    x = torch.rand(1, 4, 6, 6)
    assert torch.equal(block(x), x)


def test_multiplications_are_those_worked_out_by_hand():
    class Three(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.up = torch.nn.ConvTranspose2d(8, 4, 2, stride=2)
            self.line = torch.nn.Linear(4, 5)

        def forward(self, x):
            return self.line(self.up(self.conv(x)).mean(dim=(2, 3)))

    conv = 8 * 10 * (8 * 3 * 9)  # outputs times the inputs of each
    up = 8 * 10 * (8 * 4 * 4)  # inputs times the outputs of each
    assert multiplications(Three(), 16, 20) == conv + up + 4 * 5


def test_the_small_network_takes_a_third_of_the_multiplications():
    assert macs_per_pixel(build("attention-s")) < macs_per_pixel(build("attention-m")) / 3


def test_weights_keep_the_names_that_checkpoints_know():
    keys = set(build("attention-m").state_dict())
    assert {
        "stem.weight", "head.0.bias", "up.1.weight", "down.0.bias",
        "encoder.2.blocks.3.conv2.weight", "encoder.0.attention.reduce.bias",
        "decoder.1.blocks.2.conv1.weight", "skip.1.scales.2.weight", "skip.0.score.bias",
    } <= keys  # fmt: skip
    assert sum(p.numel() for p in build("attention-m").parameters()) == 1_831_526


def test_an_unknown_name_says_which_names_there_are():
    with pytest.raises(ValueError, match=rf"'drizzle'; there are {', '.join(sorted(BUILDERS))}"):
        build("drizzle")
