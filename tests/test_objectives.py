"""What the networks are trained for: each loss is what its paper says, and falls."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from torch.nn import functional as F  # noqa: E402

from streamderain.errors import ConfigError  # noqa: E402
from streamderain.networks.msdrnet import shrunk  # noqa: E402
from streamderain.networks.registry import build  # noqa: E402
from streamderain.readers.scene import SceneReader  # noqa: E402
from tools.training.checkpoints import save_checkpoint  # noqa: E402
from tools.training.losses import charbonnier, colour_ssim, rain_mask  # noqa: E402
from tools.training.objectives import OBJECTIVES, objective_of  # noqa: E402
from tools.training.recipe import Recipe  # noqa: E402
from tools.training.trainer import learning_rate  # noqa: E402

CPU = torch.device("cpu")
STAGES = [{"until": 1.0, "patch": 32, "batch": 2}]


def recipe(network, objective, **more):
    return Recipe(network=network, objective=objective, steps=100, stages=STAGES, **more)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def pictures():
    clean = F.interpolate(torch.rand(2, 3, 4, 4), size=(32, 32), mode="bicubic").clamp(0, 1)
    streaks = (torch.rand(2, 1, 32, 32) > 0.9) * 0.4
    return (clean * 0.6 + streaks).clamp(0, 1), clean * 0.6


@pytest.fixture
def autoencoder(tmp_path):
    path = tmp_path / "last.pt"
    weights = build("rain-autoencoder").state_dict()
    save_checkpoint(
        {
            "recipe": {"network": "rain-autoencoder"}, "network": weights, "ema": weights,
            "optimizer": {}, "step": 1, "seconds": 1.0,
        },
        path,
    )  # fmt: skip
    return str(path)


NETWORKS = {
    "restoration": "attention-s", "rain": "rain-autoencoder", "embedding": "attention-embedding",
    "progressive": "dtpnet-narrow", "scales": "msdrnet-narrow", "masked": "dualstage-narrow",
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_few_steps_lower_the_loss(name, pictures, autoencoder):
    network = build(NETWORKS[name])
    objective = objective_of(recipe(NETWORKS[name], name, embedding=autoencoder), network, CPU)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(8):
        loss = objective.loss(network, *pictures, 0.01)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert objective.derained(network, *pictures).shape == pictures[0].shape


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_in_few_bits_are_those_in_many(name, autoencoder):
    """On pictures with edges: on smooth ones any rounding looks harmless."""
    with SceneReader(height=64, width=96, seconds=0.08, seed=3) as reader:
        frames = [(frame.pixels, reader.clean_frame(frame.index)) for frame in reader]
    rainy, clean = (
        torch.from_numpy(np.stack([pair[side] for pair in frames])).permute(0, 3, 1, 2).float()
        / 255
        for side in (0, 1)
    )
    network = build(NETWORKS[name])
    objective = objective_of(recipe(NETWORKS[name], name, embedding=autoencoder), network, CPU)
    found = {}
    for bf16 in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = objective.loss(network, rainy, clean, 0.03)
        loss.backward()
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        found[bf16] = loss.detach(), torch.cat(gradients)
    (exact, gradient), (rounded, approximate) = found[False], found[True]
    assert rounded == pytest.approx(float(exact), rel=0.05, abs=0.02)
    assert F.cosine_similarity(gradient, approximate, dim=0) > 0.8


def test_the_weights_of_the_masked_and_the_progressive_loss(pictures):
    rainy, clean = pictures
    network = build("dualstage-narrow").eval()
    objective = objective_of(recipe("dualstage-narrow", "masked"), network, CPU)
    found = network.restoration(rainy)
    spectra = torch.fft.rfft2(found.derained - clean, norm="ortho")
    expected = (
        charbonnier(found.derained, clean) + 0.5 * charbonnier(found.first, clean)
        + 0.05 * torch.view_as_real(spectra).abs().mean()
        + 0.1 * F.binary_cross_entropy(found.mask, rain_mask(rainy, clean))
    )  # fmt: skip
    assert torch.allclose(objective.loss(network, rainy, clean, 0.0), expected, rtol=1e-4)

    network = build("dtpnet-narrow").eval()
    objective = objective_of(recipe("dtpnet-narrow", "progressive"), network, CPU)
    stages = network.stages(rainy)
    expected = 1 - colour_ssim(stages.derained, clean) + 0.5 * ((stages.first - clean) ** 2).mean()
    assert torch.allclose(objective.loss(network, rainy, clean, 0.0), expected, rtol=1e-4)


def test_the_embedding_loss_is_the_published_sum(pictures, autoencoder):
    rainy, clean = pictures
    network = build("attention-embedding").eval()
    objective = objective_of(
        recipe("attention-embedding", "embedding", embedding=autoencoder), network, CPU
    )
    parts = network.parts(rainy)
    ideal = objective._autoencoder.embed(rainy - clean)
    expected = 0.02 * (ideal - parts.embedding).abs().mean()
    mask = (rainy - clean).amax(1, keepdim=True) > 0.04
    for level, attention in enumerate(parts.attention):
        scaled = F.max_pool2d(mask.float(), 2**level)
        expected = expected + 0.1 * ((attention - scaled) ** 2).mean()
    expected = expected + 1 - colour_ssim(parts.derained, clean)
    assert torch.allclose(objective.loss(network, rainy, clean, 0.0), expected)


def test_the_six_terms_of_the_scales(pictures):
    rainy, clean = pictures
    network = build("msdrnet-narrow").eval()
    objective = objective_of(recipe("msdrnet-narrow", "scales"), network, CPU)
    found = network.scales(rainy)
    expected = 0.0
    for level, (b, r) in enumerate([(1.0, 0.1), (0.01, 0.01), (0.01, 0.01)]):
        dry = shrunk(clean, 2**level)
        rain = shrunk(rainy, 2**level) - dry
        expected = expected + b * (found.derained[level] - dry).abs().mean()
        expected = expected + r * (found.rain[level] - rain).abs().mean()
    assert torch.allclose(objective.loss(network, rainy, clean, 0.0), expected)


def test_a_perfect_picture_costs_a_progressive_network_nothing(pictures):
    rainy, clean = pictures

    class Perfect(torch.nn.Module):
        def stages(self, _):
            from streamderain.networks.dtpnet import Stages

            return Stages(clean, clean)

    objective = OBJECTIVES["progressive"](recipe("dtpnet-narrow", "progressive"), CPU)
    assert objective.loss(Perfect(), rainy, clean, 0.0) == pytest.approx(0, abs=1e-6)


def test_what_the_autoencoder_loses_of_the_rain_stays_on_the_picture(pictures):
    rainy, clean = pictures
    objective = OBJECTIVES["rain"](recipe("rain-autoencoder", "rain"), CPU)
    assert torch.allclose(objective.derained(torch.nn.Identity(), rainy, clean), clean)
    assert torch.equal(objective.derained(torch.zeros_like, rainy, clean), rainy)


def test_a_mask_is_where_any_colour_is_brighter():
    clean = torch.full((1, 3, 4, 4), 0.5)
    rainy = clean.clone()
    rainy[0, 2, 1, 1] += 0.1
    rainy[0, 0, 2, 2] -= 0.3
    rainy[0, :, 3, 3] += 0.02
    assert rain_mask(rainy, clean).nonzero().tolist() == [[0, 0, 1, 1]]


def test_charbonnier_is_l1_far_from_zero():
    x = torch.tensor([0.0, 3.0])
    assert charbonnier(x, torch.zeros(2)) == pytest.approx((0.001 + 3.0) / 2, rel=1e-4)


def test_an_objective_of_another_network_is_refused(autoencoder):
    with pytest.raises(ConfigError, match="doesn't go with attention-s; it goes with dualstage"):
        objective_of(recipe("attention-s", "masked"), build("attention-s"), CPU)
    with pytest.raises(ConfigError, match="set embedding"):
        objective_of(recipe("attention-embedding", "embedding"), build("attention-embedding"), CPU)


def test_rates_drop_where_a_recipe_says_so():
    stepped = recipe(
        "attention-s", "restoration", learning_rate=1e-3, warmup=0, drops=[0.25, 0.5, 0.75]
    )
    rates = [learning_rate(stepped, step) for step in (0, 24, 25, 50, 75, 99)]
    assert rates == pytest.approx([1e-3, 1e-3, 2e-4, 4e-5, 8e-6, 8e-6])
