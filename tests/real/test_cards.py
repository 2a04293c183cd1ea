"""The figures on the cards of the shipped networks, measured again."""

import json

import pytest

from streamderain.hardware import features_here
from streamderain.inference.precision import multiplies_bytes
from streamderain.models import available_models
from tests.real.data import footage
from tools.evaluate import main
from tools.training.data import VALIDATION_IDS

WHOLE = {"attention-s", "video-s"}
"""Networks of which every figure is measured again; of the others, one rain has to do."""

SLOW = {"attention-embedding", "dtpnet-narrow", "dualstage-narrow", "msdrnet-narrow"}
"""Networks that take up to half a minute each, and are not trained any more: their files are those
that their cards name, which another test sees to."""


def evaluation_of(model, tmp_path, pictures=()):
    found = tmp_path / "evaluation.json"
    pictures = pictures or ("--data", str(footage("rain100").parent))
    assert main([str(model), *pictures, "--device", "cpu", "--json", str(found)]) == 0
    (evaluation,) = json.loads(found.read_text())
    return evaluation


def light_rain_alone(tmp_path):
    folders = []
    for name in ("light", "clean"):
        folder = tmp_path / name
        folder.mkdir()
        for number in VALIDATION_IDS:
            picture = footage("rain100") / name / f"{number:03d}.png"
            (folder / picture.name).symlink_to(picture)
        folders.append(str(folder))
    return "--pairs", *folders


@pytest.mark.parametrize(
    "info", [info for info in available_models() if info.name not in SLOW], ids=lambda i: i.name
)
def test_a_card_says_what_its_network_does_to_the_validation_scenes(info, tmp_path):
    expected, pictures = info.card.validation, ()
    if info.name not in WHOLE:
        expected, pictures = {"light": expected["light"]}, light_rain_alone(tmp_path)
    evaluation = evaluation_of(info.name, tmp_path, pictures)
    assert evaluation["sha256"] == info.card.sha256
    agree(expected, evaluation)


@pytest.mark.skipif(
    not multiplies_bytes(features_here()), reason="this processor has no products of bytes"
)
@pytest.mark.parametrize(
    "info", [info for info in available_models() if info.card.int8], ids=lambda info: info.name
)
def test_a_card_says_what_its_network_does_in_eight_bits(info, tmp_path):
    reduced = info.in_eight_bits()
    expected, pictures = info.card.int8.validation, ()
    if info.name not in WHOLE:
        expected, pictures = {"light": expected["light"]}, light_rain_alone(tmp_path)
    evaluation = evaluation_of(reduced.path, tmp_path, pictures)
    assert evaluation["sha256"] == info.card.int8.sha256
    agree(expected, evaluation)


def agree(scores, evaluation):
    for name, score in scores.items():
        measured = evaluation["sets"][name]
        # Processors round convolutions differently; near-perfect dry pictures show it in dB.
        tolerance = 0.02 if score.psnr_y < 45 else 1.0
        assert measured["psnr_y"] == pytest.approx(score.psnr_y, abs=tolerance)
        assert measured["ssim_y"] == pytest.approx(score.ssim_y, abs=0.0005)
