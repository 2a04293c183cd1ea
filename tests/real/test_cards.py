"""The figures on the cards of the shipped networks, measured again."""

import json

import pytest

from streamderain.hardware import features_here
from streamderain.inference.precision import multiplies_bytes
from streamderain.models import available_models
from tests.real.data import footage
from tools.evaluate import main


def evaluation_of(model, tmp_path):
    data, found = footage("rain100").parent, tmp_path / "evaluation.json"
    assert main([str(model), "--data", str(data), "--device", "cpu", "--json", str(found)]) == 0
    (evaluation,) = json.loads(found.read_text())
    return evaluation


@pytest.mark.parametrize("info", available_models(), ids=lambda info: info.name)
def test_a_card_says_what_its_network_does_to_the_validation_scenes(info, tmp_path):
    evaluation = evaluation_of(info.name, tmp_path)
    assert evaluation["sha256"] == info.card.sha256
    agree(info.card.validation, evaluation)


@pytest.mark.skipif(
    not multiplies_bytes(features_here()), reason="this processor has no products of bytes"
)
@pytest.mark.parametrize(
    "info", [info for info in available_models() if info.card.int8], ids=lambda info: info.name
)
def test_a_card_says_what_its_network_does_in_eight_bits(info, tmp_path):
    reduced = info.in_eight_bits()
    evaluation = evaluation_of(reduced.path, tmp_path)
    assert evaluation["sha256"] == info.card.int8.sha256
    agree(info.card.int8.validation, evaluation)


def agree(scores, evaluation):
    for name, score in scores.items():
        measured = evaluation["sets"][name]
        # Processors round convolutions differently; near-perfect dry pictures show it in dB.
        tolerance = 0.02 if score.psnr_y < 45 else 1.0
        assert measured["psnr_y"] == pytest.approx(score.psnr_y, abs=tolerance)
        assert measured["ssim_y"] == pytest.approx(score.ssim_y, abs=0.0005)
