"""The video networks: what they do with a past and without, from training clips to the graph."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")
pytest.importorskip("onnxscript")

from streamderain.errors import ConfigError  # noqa: E402
from streamderain.inference.backend import VIDEO  # noqa: E402
from streamderain.inference.create import create_backend  # noqa: E402
from streamderain.inference.derainer import Derainer  # noqa: E402
from streamderain.inference.prior import Prior  # noqa: E402
from streamderain.inference.running import derain  # noqa: E402
from streamderain.models import ModelInfo  # noqa: E402
from streamderain.networks import attention, registry, video  # noqa: E402
from streamderain.networks.count import macs_per_pixel  # noqa: E402
from tests.clips import picture  # noqa: E402
from tests.live_frames import live_frame  # noqa: E402
from tools import export_onnx  # noqa: E402
from tools.training import video as training_video  # noqa: E402
from tools.training.data import Conditions, Mixture, Pictures  # noqa: E402
from tools.training.recipe import Recipe  # noqa: E402
from tools.training.trainer import Trainer  # noqa: E402
from tools.training.video import ClipSampler, validation_clips  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def with_past(frame, prior, reliability):
    trust = torch.full_like(frame[:, :1], reliability)
    return torch.cat([frame, prior, trust], dim=1)


def test_without_a_past_it_is_the_picture_network_it_began_as():
    alone = registry.build("attention-xs").eval()
    config = video.CONFIGS["video-xs-wide"]
    network = video.VideoDerain(config).eval()
    network.load_state_dict(video.from_picture_weights(alone.state_dict(), config))
    frame, prior = torch.rand(2, 3, 37, 50), torch.rand(2, 3, 37, 50)
    with torch.no_grad():
        assert torch.allclose(network(with_past(frame, prior, 0.0)), alone(frame), atol=1e-6)
        trusting = network(with_past(frame, prior, 1.0))
        share = torch.sigmoid(torch.tensor(0.5))
        assert torch.allclose(trusting, alone(frame) * (1 - share) + prior * share, atol=1e-5)


def test_nothing_of_an_untrusted_past_comes_back():
    network = registry.build("video-m").eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(3)  # whatever it has learnt
        network.stem.weight[:, 3:] = 0
        frame = torch.rand(1, 3, 24, 24)
        one, other = (network(with_past(frame, torch.rand(1, 3, 24, 24), 0.0)) for _ in range(2))
    assert torch.equal(one, other)


def test_it_costs_no_more_than_the_picture_network():
    costs = {name: macs_per_pixel(registry.build(name)) for name in ("video-m", "attention-m")}
    assert costs["video-m"] <= costs["attention-m"]


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    stills = [picture(120, 160, index) for index in range(3)]
    layers = [(rng.random((120, 160, 1)) < 0.1).astype(np.uint8).repeat(3, axis=2) * 90]
    return Pictures([(stills[0], stills[0])], layers, stills, [])


def test_training_clips_have_a_past_that_is_sometimes_forgotten(pictures):
    sampler = ClipSampler(pictures, Mixture(), np.random.default_rng(1))
    rainy, clean = sampler.batch(40, 32)
    assert (rainy.shape, clean.shape) == ((40, 32, 32, VIDEO), (40, 32, 32, 3))
    trust = rainy[..., 6].reshape(40, -1).mean(axis=1)
    assert (trust == 0).sum() >= 4
    assert (trust > 100).sum() >= 4
    again = ClipSampler(pictures, Mixture(), np.random.default_rng(1)).batch(40, 32)
    assert np.array_equal(rainy, again[0])
    assert np.array_equal(clean, again[1])


def test_what_is_learnt_from_is_the_clean_frame(pictures):
    dry = Mixture(pairs=0, layers=0, synthetic=0, dry=1)
    sampler = ClipSampler(pictures, dry, np.random.default_rng(4))
    difference = [
        np.abs(rainy[..., :3].astype(int) - clean).mean()
        for rainy, clean in (sampler.batch(1, 32) for _ in range(12))
    ]
    assert min(difference) < 0.5  # but for noise and compression, the frame itself
    assert np.median(difference) < 12


def test_clips_are_seen_in_other_lights_too_and_grey_ones_stay_grey(pictures):
    infrared = Conditions(infrared=1.0)
    sampler = ClipSampler(pictures, Mixture(), np.random.default_rng(4), infrared)
    clips = [sampler.clip(32) for _ in range(12)]
    frames = [pair for clip in clips for pair in clip]
    for rainy, clean in frames:
        assert not np.ptp(clean, axis=2).any()
        assert not np.ptp(rainy[..., :3], axis=2).any()  # noise and H.264 too
    brighter = [float((rainy[..., :3].astype(int) - clean).mean()) for rainy, clean in frames]
    assert max(brighter) > 5
    lights = Conditions(infrared=0.3, night=0.3, fog=0.3)
    mixed = ClipSampler(pictures, Mixture(), np.random.default_rng(1), lights).batch(8, 32)
    again = ClipSampler(pictures, Mixture(), np.random.default_rng(1), lights).batch(8, 32)
    assert np.array_equal(mixed[0], again[0])


def test_validation_has_clips_of_both_cameras_and_pictures_without_a_past():
    stills = [picture(90, 130, index) for index in range(2)]
    scenes = {rain: [(np.minimum(s, 200) + 20, s) for s in stills] for rain in ("light", "heavy")}
    scenes["dry"] = [(s, s) for s in stills]
    sets = validation_clips(scenes)
    assert set(sets) == {"light", "heavy", "fixed", "pan"}
    assert all(x.shape[2] == VIDEO for pairs in sets.values() for x, _ in pairs)
    assert not sets["light"][0][0][..., 6].any()
    assert sets["fixed"][0][0][..., 6].any()


def recipe(**changes):
    stages = [{"until": 1.0, "patch": 32, "batch": 1}]
    return Recipe(**{"network": "video-s", "clips": True, "steps": 1, "bf16": False,
                     "stages": stages, **changes})  # fmt: skip


def test_a_network_and_what_it_is_trained_on_have_to_fit(tmp_path, pictures):
    for changes in ({"clips": False}, {"network": "attention-s"}):
        with pytest.raises(ConfigError, match="set clips:"):
            Trainer(recipe(**changes), tmp_path / "a", CPU)
    trainer = Trainer(recipe(), tmp_path / "b", CPU)
    trainer.run(pictures, {})
    assert trainer.step == 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A video network too small to be good, as a graph."""
    config = attention.AttentionConfig(2, (8, 16), (1, 1), (1,), (4,))
    torch.manual_seed(3)
    network = video.VideoDerain(config).eval()
    torch.nn.init.normal_(network.head[0].weight, 0, 0.2)
    path = tmp_path_factory.mktemp("net") / "tiny.onnx"
    assert export_onnx.export(network, path, {"network": "tiny", "name": "tiny"}) <= 1
    return path


def test_the_graph_takes_the_past_and_tiles_it(exported):
    frames = [picture(40, 60, index) for index in range(2)]
    known = Prior(picture(40, 60, 9), np.full((40, 60), 255, np.uint8), 9)
    with create_backend(str(exported), "cpu") as backend:
        assert backend.inputs == VIDEO
        without, beside = derain(backend, frames), derain(backend, frames, [known, None])
        assert without.shape == (2, 40, 60, 3)
        assert not np.array_equal(beside[0], without[0])
        assert np.array_equal(beside[1], without[1])


class Looking:
    """A video backend that keeps what it was shown and gives the prior back."""

    name, device, inputs, notes = "looking", "cpu", VIDEO, ()
    model = ModelInfo(name="looking", path=None)

    def __init__(self):
        self.seen = []

    def run(self, frames):
        self.seen += list(frames)
        return np.ascontiguousarray(frames[..., 3:6])

    def close(self):
        pass


def test_recorded_frames_go_in_with_their_past():
    backend = Looking()
    given = [live_frame(index, "gate", size=(30, 40)) for index in range(8)]
    for frame in given:
        frame.pixels = picture(30, 40, 1)
        frame.corrupt = frame.index == 4
    out = list(Derainer(backend, batch=3).process(given))
    assert [frame.index for frame in out] == list(range(8))
    assert [frame.derained for frame in out] == [index != 4 for index in range(8)]
    trust = [shown[..., 6].mean() for shown in backend.seen]
    assert trust[0] == trust[1] == 0
    assert trust[-1] > 150
    assert trust == sorted(trust)


def test_a_frame_is_drawn_a_few_times_before_it_makes_room(pictures, monkeypatch):
    monkeypatch.setattr(training_video, "POOL", 60)
    sampler = ClipSampler(pictures, Mixture(), np.random.default_rng(2))
    made = []
    clip = sampler.clip
    monkeypatch.setattr(sampler, "clip", lambda patch: made.append(0) or clip(patch))
    for _ in range(20):
        sampler.batch(20, 32)
    frames = len(made) * len(training_video.TARGETS)
    assert 400 / training_video.DRAWN <= frames <= 400 / training_video.DRAWN + 60 + 5
