"""The figures on the cards of the shipped networks, measured again."""

import json

import pytest

from streamderain.models import available_models
from tests.real.data import footage
from tools.evaluate import main


@pytest.mark.parametrize("info", available_models(), ids=lambda info: info.name)
def test_a_card_says_what_its_network_does_to_the_validation_scenes(info, tmp_path):
    data, found = footage("rain100").parent, tmp_path / "evaluation.json"
    assert main([info.name, "--data", str(data), "--device", "cpu", "--json", str(found)]) == 0
    (evaluation,) = json.loads(found.read_text())
    assert evaluation["sha256"] == info.card.sha256
    for name, score in info.card.validation.items():
        measured = evaluation["sets"][name]
        # Processors round convolutions differently; near-perfect dry pictures show it in dB.
        tolerance = 0.02 if score.psnr_y < 45 else 1.0
        assert measured["psnr_y"] == pytest.approx(score.psnr_y, abs=tolerance)
        assert measured["ssim_y"] == pytest.approx(score.ssim_y, abs=0.0005)
