"""Training the rain gauge: clips in every light, measured, and a network fitted to them."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from streamderain.inference.gauge import FEATURES, SUMMED, features
from tests.training_data import one_torch_thread, write_rain100
from tools import train_gauge
from tools.train_gauge import LIGHTS, Sample, fit, make_sample, report
from tools.training.data import load_pictures


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Networks this small need few steps."""
    monkeypatch.setattr(train_gauge, "STEPS", 120)
    with one_torch_thread():
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_rain100(root, 250, 330)
    return root


@pytest.fixture(scope="module")
def samples(data):
    pictures = load_pictures(data, 1, streak_layers=1)
    return [
        make_sample(pictures, pictures.clean, np.random.default_rng([0, number]))
        for number in range(10)
    ]


def test_clips_are_seen_in_every_light_and_half_of_them_in_rain(samples):
    lights = {sample.kinds[1] for sample in samples}
    assert lights == set(LIGHTS)
    assert 2 < sum(sample.rainy for sample in samples) < 8
    for sample in samples:
        assert len(sample.sums) == len(train_gauge.SEEN)
        assert np.isfinite([features(sums) for sums in sample.sums]).all()
        assert not (sample.rainy and "snow" in sample.kinds)
        assert sample.kinds[1] == "day" or "noisy" not in sample.kinds, "it has noise of its own"


def test_a_network_is_fitted_and_told_of_by_what_is_in_the_clips():
    rng = np.random.default_rng(0)
    made = [
        Sample([rng.uniform(0, 0.2 + 5 * rainy, SUMMED + 6)], rainy, ("fixed", light))
        for rainy in (True, False)
        for light in LIGHTS
        for _ in range(5)
    ]
    told = report(fit(made, 1), made)
    assert "rain: 1.000 of 20" in told
    assert "night rain: 1.000 of 5" in told
    assert "fog: 1.000 of 5" in told


def test_what_is_trained_is_what_the_gauge_reads(data, tmp_path, capsys):
    target = tmp_path / "gauge.json"
    asked = ["--data", str(data), "--clips", "6", "--seed", "3", "-o", str(target)]
    assert train_gauge.main(asked) == 0
    assert "rain: " in capsys.readouterr().out
    stored = json.loads(target.read_text())
    assert tuple(stored["features"]) == FEATURES
    units = train_gauge.HIDDEN * train_gauge.FITTED
    shapes = [np.array(layer["weight"]).shape for layer in stored["layers"]]
    assert shapes == [(units, len(FEATURES)), (1, units)]
    assert stored["clips"] == 5


def test_missing_data_is_a_sentence(tmp_path, capsys):
    assert train_gauge.main(["--data", str(tmp_path / "none"), "--clips", "2"]) == 1
    assert "error:" in capsys.readouterr().err
