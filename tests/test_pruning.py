"""A small network cut out of a large one."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import save  # noqa: E402

from streamderain.errors import ModelError  # noqa: E402
from streamderain.networks import video  # noqa: E402
from streamderain.networks.attention import (  # noqa: E402
    CONFIGS,
    AttentionConfig,
    AttentionDerain,
)
from streamderain.networks.registry import build  # noqa: E402
from tools.training.checkpoints import save_checkpoint  # noqa: E402
from tools.training.pruning import config_of, prune, starting_weights  # noqa: E402

LARGE = AttentionConfig(
    stride=2, widths=(8, 16), encoder=(2, 3), decoder=(2,), attention=(6,)
)  # fmt: skip


def network(config, seed=0):
    torch.manual_seed(seed)
    return AttentionDerain(config).eval()


def run(config, weights):
    made = AttentionDerain(config).eval()
    made.load_state_dict(weights)
    torch.manual_seed(5)
    with torch.no_grad():
        return made(torch.rand(1, 3, 16, 20))


def test_cut_to_its_own_size_a_network_stays_what_it_is():
    weights = network(LARGE).state_dict()
    assert torch.allclose(run(LARGE, prune(weights, LARGE, LARGE)), run(LARGE, weights), atol=1e-6)


def test_channels_inside_a_block_that_do_nothing_are_the_ones_that_go():
    weights = network(LARGE).state_dict()
    for name, weight in weights.items():
        if name.startswith("skip.0.") and "score" not in name:
            weight[4:] = 0  # the last two inner channels of the pixel attention
            if name.endswith("weight") and "merge" not in name:
                columns = torch.arange(weight.shape[1]) % 6 >= 4
                weight[:, columns] = 0
    weights["skip.0.score.weight"][:, 4:] = 0
    small = replace(LARGE, attention=(4,))
    assert torch.allclose(run(small, prune(weights, LARGE, small)), run(LARGE, weights), atol=1e-6)


def test_features_that_nothing_writes_or_reads_are_the_ones_that_go():
    weights = network(LARGE).state_dict()
    idle = [1, 6]
    for name in ("stem.weight", "stem.bias", "up.0.bias"):
        weights[name][idle] = 0
    for name in ("head.0.weight", "down.0.weight", "up.0.weight"):
        weights[name][:, idle] = 0
    for part in ("encoder", "decoder"):
        for block in range(2):
            weights[f"{part}.0.blocks.{block}.conv1.weight"][:, idle] = 0
            weights[f"{part}.0.blocks.{block}.conv2.weight"][idle] = 0
    small = replace(LARGE, widths=(6, 16))
    kept = prune(weights, LARGE, small)
    assert torch.equal(kept["stem.weight"], weights["stem.weight"][[0, 2, 3, 4, 5, 7]])


@pytest.mark.parametrize(
    "small",
    [
        replace(LARGE, widths=(8, 32)), replace(LARGE, encoder=(2, 4)), replace(LARGE, stride=4),
        replace(LARGE, attention=(8,)), AttentionConfig(2, (8,), (2,), (), ()),
    ],
)  # fmt: skip
def test_what_is_not_smaller_is_refused(small):
    with pytest.raises(ValueError, match="can't be cut out"):
        prune(network(LARGE).state_dict(), LARGE, small)


@pytest.fixture
def large():
    weights = network(CONFIGS["attention-m"]).state_dict()
    return {"recipe": {"network": "attention-m"}, "ema": weights}


@pytest.fixture
def checkpoint(large, tmp_path):
    return stored(large, tmp_path / "large.pt")


def stored(state, path):
    empty = {"network": {}, "optimizer": {}, "step": 0, "seconds": 0.0}
    save_checkpoint({**empty, **state}, path)
    return path


def test_of_twice_the_stride_the_finest_level_is_left_out():
    large = replace(LARGE, widths=(8, 16, 24), encoder=(1, 2, 1), decoder=(1, 1), attention=(4, 4))
    weights = network(large).state_dict()
    for name, weight in weights.items():
        # What the finest level adds to its stream.
        if name.startswith(("encoder.0.attention.expand", "decoder.0.attention.expand")):
            weight.fill_(-1e6 if name.endswith("bias") else 0)
        if name.startswith("skip.0.score"):
            weight.fill_(-1e6 if name.endswith("bias") else 0)
    coarse = AttentionConfig(
        stride=4, widths=(16, 24), encoder=(2, 1), decoder=(1,), attention=(4,)
    )  # fmt: skip
    cut, whole = run(coarse, prune(weights, large, coarse)), run(large, weights)
    assert torch.allclose(cut[..., 4:-4, 4:-4], whole[..., 4:-4, 4:-4], atol=1e-5)


def test_a_training_starts_with_what_was_cut_out(checkpoint, large):
    weights = starting_weights(checkpoint, "attention-s")
    assert run(CONFIGS["attention-s"], weights).isfinite().all()
    same = starting_weights(checkpoint, "attention-m")
    assert all(torch.equal(value, large["ema"][key]) for key, value in same.items())


def test_a_training_starts_with_a_network_that_ships(tmp_path):
    weights = network(CONFIGS["attention-s"]).state_dict()
    path = tmp_path / "mine.safetensors"
    path.write_bytes(save(weights, {"network": "attention-s"}))
    same = starting_weights(path, "attention-s")
    assert same.keys() == weights.keys()
    assert all(torch.equal(value, weights[key]) for key, value in same.items())
    with pytest.raises(ModelError, match="can't be read"):
        starting_weights(tmp_path / "missing.safetensors", "attention-s")


@pytest.mark.parametrize("name", ["nonesuch", "dtpnet-narrow"])
def test_a_network_of_another_family_is_a_sentence(checkpoint, name):
    with pytest.raises(ModelError, match=f"{name} can't be cut out of attention-m; a start"):
        starting_weights(checkpoint, name)


def test_a_network_of_pictures_cannot_begin_with_one_of_video(tmp_path):
    video_s = {"recipe": {"network": "video-s"}, "ema": build("video-s").state_dict()}
    with pytest.raises(ModelError, match="attention-s can't be cut out of video-s; a start"):
        starting_weights(stored(video_s, tmp_path / "video.pt"), "attention-s")


@pytest.mark.parametrize("name", [*CONFIGS, *video.CONFIGS])
def test_the_shape_of_a_network_shows_in_its_weights(name):
    assert config_of(build(name).state_dict()) == {**CONFIGS, **video.CONFIGS}[name]


def test_a_video_network_is_cut_out_of_a_larger_one(tmp_path):
    wide = {"recipe": {"network": "video-xs-wide"}, "ema": build("video-xs-wide").state_dict()}
    weights = starting_weights(stored(wide, tmp_path / "wide.pt"), "video-xs")
    small = build("video-xs")
    small.load_state_dict(weights)
    assert small(torch.rand(1, 7, 16, 24)).shape == (1, 3, 16, 24)


def test_attention_can_be_cut_out_as_well_but_not_put_in(tmp_path):
    large = {"recipe": {"network": "video-xs"}, "ema": build("video-xs").state_dict()}
    path = stored(large, tmp_path / "large.pt")
    small = build("video-xxs")
    small.load_state_dict(starting_weights(path, "video-xxs"))
    names = {name.split(".")[0] for name in small.state_dict()}
    assert names == {"stem", "down", "encoder", "up", "decoder", "head"}, "no skip, nothing at 0"
    assert any("attention" in name for name in small.state_dict())
    back = {"recipe": {"network": "video-xxs"}, "ema": small.state_dict()}
    with pytest.raises(ModelError, match="video-xs can't be cut out of video-xxs: "):
        starting_weights(stored(back, tmp_path / "small.pt"), "video-xs")


def test_a_large_network_cannot_be_cut_out_of_a_small_one(checkpoint, tmp_path):
    cut = starting_weights(checkpoint, "attention-s")
    small = stored({"recipe": {"network": "attention-s"}, "ema": cut}, tmp_path / "small.pt")
    with pytest.raises(ModelError, match="attention-m can't be cut out of attention-s: widths"):
        starting_weights(small, "attention-m")
