"""Judging networks, and the card that is written from it."""

import csv
import hashlib
import json
import math

import cv2
import numpy as np
import onnx
import pytest

from streamderain.models import models_folder, read_card
from tools.evaluate import main
from tools.model_card import main as write_card
from tools.model_card import read_metadata
from tools.training.data import VALIDATION_IDS
from tools.training.recipe import load_recipe


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


def flat(value, height=16, width=20):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Two pairs of flat pictures: 5 and 20 levels apart."""
    for name, error in (("a", 5), ("b", 20)):
        save(tmp_path / "rainy" / f"{name}.png", flat(100 + error))
        save(tmp_path / "clean" / f"{name}.png", flat(100))
    return tmp_path / "rainy", tmp_path / "clean"


@pytest.fixture
def data(tmp_path):
    """A data folder whose validation scenes are flat."""
    for index in VALIDATION_IDS:
        for kind, value in (("clean", 100), ("light", 105), ("heavy", 120)):
            save(tmp_path / "data" / "rain100" / kind / f"{index:03d}.png", flat(value))
    return tmp_path / "data"


def psnr(error):
    return 20 * math.log10(255 / error)


def test_the_null_model_scores_the_input_itself(folders, tmp_path, capsys):
    target, table = tmp_path / "e.json", tmp_path / "e.csv"
    pairs = ["--pairs", *map(str, folders)]
    assert main(["null", *pairs, "--json", str(target), "--csv", str(table)]) == 0
    (evaluation,) = json.loads(target.read_text())
    assert (evaluation["model"], evaluation["sha256"]) == ("null", None)
    scores = evaluation["sets"]["rainy"]
    assert scores["psnr_rgb"] == pytest.approx((psnr(5) + psnr(20)) / 2, abs=1e-3)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["name"] for row in rows] == ["a.png", "b.png"]
    assert float(rows[1]["psnr_rgb"]) == pytest.approx(psnr(20))
    mean = f"{scores['psnr_rgb']:.2f} dB"
    assert mean in capsys.readouterr().out


def test_a_luma_error_is_smaller_than_one_of_rgb(folders, tmp_path):
    target = tmp_path / "e.json"
    assert main(["null", "--pairs", *map(str, folders), "--json", str(target)]) == 0
    scores = json.loads(target.read_text())[0]["sets"]["rainy"]
    share = 219 / 255  # Y spans 219 levels where RGB spans 255
    assert scores["psnr_y"] == pytest.approx(scores["psnr_rgb"] - 20 * math.log10(share), abs=1e-3)


def test_the_validation_scenes_are_scored_by_kind_of_rain(data, capsys):
    assert main(["null", "attention-m", "--data", str(data)]) == 0
    head, _, null, ours = capsys.readouterr().out.splitlines()
    assert head.index("light") < head.index("heavy") < head.index("dry")
    assert f"{psnr(20):.2f} dB" in null
    assert "99.00 dB / 1.0000" in null  # dry pictures are equal to themselves
    assert ours.startswith("| attention-m |")


def test_a_missing_validation_scene_is_named(data, capsys):
    (data / "rain100" / "heavy" / "064.png").unlink()
    assert main(["null", "--data", str(data)]) == 1
    assert "heavy/064.png is missing" in capsys.readouterr().err


def fail(arguments, capsys):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return code, captured.err


def test_neither_or_both_kinds_of_input_are_wrong_usage(folders, capsys):
    for extra in ([], ["--data", ".", "--pairs", *folders]):
        code, said = fail(["null", *extra], capsys)
        assert code == 2
        assert "either --data DIR or --pairs" in said


def test_a_picture_without_a_partner_is_named(folders, capsys):
    save(folders[0] / "lonely.png", flat(0))
    code, said = fail(["null", "--pairs", *folders], capsys)
    assert code == 1
    assert "lonely.png (1 of 3 have no partner)" in said


def test_folders_that_hold_nothing_are_a_sentence(folders, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no pictures" in fail(["null", "--pairs", empty, folders[1]], capsys)[1]
    nowhere = tmp_path / "nowhere"
    assert "is not a folder" in fail(["null", "--pairs", nowhere, folders[1]], capsys)[1]


def test_pairs_of_different_sizes_are_refused_with_both(folders, capsys):
    save(folders[0] / "a.png", flat(0, 18, 24))
    said = fail(["null", "--pairs", *folders], capsys)[1]
    assert "is 24x18" in said
    assert "is 20x16" in said


def test_pictures_too_small_for_ssim_are_refused(folders, capsys):
    for folder in folders:
        save(folder / "a.png", flat(0, 8, 24))
    assert "SSIM needs at least 11 pixels" in fail(["null", "--pairs", *folders], capsys)[1]


def test_a_damaged_picture_is_named(folders, capsys):
    (folders[0] / "b.png").write_bytes(b"not a picture")
    assert "b.png is not a picture" in fail(["null", "--pairs", *folders], capsys)[1]


@pytest.mark.parametrize("model", ["sunshine", "none.onnx", "none.pt"])
def test_an_unknown_model_is_a_sentence(folders, capsys, model):
    if model.endswith(".pt"):
        pytest.importorskip("torch")
    code, said = fail([model, "--pairs", *folders], capsys)
    assert code == (2 if model == "sunshine" else 1), "a name is usage, a file isn't"
    assert model in said


@pytest.fixture
def network(tmp_path):
    """A copy of a shipped network beside which a card may be written."""
    path = tmp_path / "models" / "attention-m.onnx"
    path.parent.mkdir()
    path.write_bytes((models_folder() / "attention-m.onnx").read_bytes())
    return path


@pytest.fixture
def memory_is_known(monkeypatch):
    """Its measurement takes ten seconds, and is of one test."""
    monkeypatch.setattr("tools.model_card.bytes_per_pixel", lambda _: 321)


RECIPE = models_folder().parent / "configs" / "train" / "attention-m.yaml"


def test_a_card_says_what_the_evaluation_found(network, data, tmp_path):
    found = tmp_path / "e.json"
    assert main([str(network), "null", "--data", str(data), "--json", str(found)]) == 0
    arguments = [str(network), "--evaluation", str(found), "--recipe", str(RECIPE)]
    assert write_card(arguments) == 0
    card = read_card(network.with_suffix(".md"))
    ours = json.loads(found.read_text())[0]
    assert {name: score.model_dump() for name, score in card.validation.items()} == ours["sets"]
    assert card.sha256 == hashlib.sha256(network.read_bytes()).hexdigest() == ours["sha256"]
    assert card.training_steps == int(read_metadata(network)["training_steps"])
    text = network.with_suffix(".md").read_text(encoding="utf-8")
    assert f"| null | {psnr(5) - 20 * math.log10(219 / 255):.2f} dB" in text
    assert "python -m tools.export_onnx" in text


@pytest.mark.usefixtures("memory_is_known")
def test_a_card_adds_up_the_recipes_of_a_training_in_two_parts(network, data, tmp_path):
    found, finish = tmp_path / "e.json", RECIPE.with_name("attention-m-finish.yaml")
    assert main([str(network), "null", "--data", str(data), "--json", str(found)]) == 0
    arguments = [str(network), "--evaluation", str(found), "--recipe", str(RECIPE), str(finish)]
    assert write_card(arguments) == 0
    last = int(read_metadata(network)["training_steps"])
    card = read_card(network.with_suffix(".md"))
    assert card.training_steps == load_recipe(RECIPE).steps + last
    text = network.with_suffix(".md").read_text(encoding="utf-8")
    assert "--out runs/attention-m\n" in text
    assert "export_onnx runs/attention-m-finish/last.pt" in text


@pytest.mark.usefixtures("memory_is_known")
def test_a_card_says_in_which_lights_a_network_learnt(network, data, tmp_path):
    found, lights = tmp_path / "e.json", RECIPE.with_name("attention-m-conditions.yaml")
    assert main([str(network), "null", "--data", str(data), "--json", str(found)]) == 0
    arguments = [str(network), "--evaluation", str(found), "--recipe", str(RECIPE)]
    assert write_card(arguments) == 0
    text = network.with_suffix(".md").read_text(encoding="utf-8")
    assert "rain in\nheadlights at night" in text
    assert "infrared" not in text
    assert write_card([*arguments, str(lights)]) == 0
    text = " ".join(network.with_suffix(".md").read_text(encoding="utf-8").split())
    shares = load_recipe(lights).conditions
    assert f"{shares.infrared:.0%} were seen by infrared light" in text
    assert "drops on the lens, snow." in text


def test_an_evaluation_of_other_weights_makes_no_card(network, data, tmp_path, capsys):
    found = tmp_path / "e.json"
    assert main([str(network), "null", "--data", str(data), "--json", str(found)]) == 0
    evaluations = json.loads(found.read_text())
    evaluations[0]["sha256"] = "0" * 64
    found.write_text(json.dumps(evaluations))
    arguments = [str(network), "--evaluation", str(found), "--recipe", str(RECIPE)]
    assert write_card(arguments) == 1
    assert "does not judge" in capsys.readouterr().err
    assert not network.with_suffix(".md").exists()


@pytest.mark.usefixtures("memory_is_known")
def test_a_card_says_what_eight_bits_cost_and_refuses_too_much(network, data, tmp_path, capsys):
    small, found = network.with_suffix(".int8.onnx"), tmp_path / "e.json"
    model = onnx.load(network)
    model.doc_string = "another file"
    onnx.save(model, small)
    judged = [str(network), str(small), "null"]
    assert main([*judged, "--data", str(data), "--json", str(found)]) == 0
    arguments = [str(network), "--evaluation", str(found), "--recipe", str(RECIPE)]
    assert write_card(arguments) == 0
    card = read_card(network.with_suffix(".md"))
    assert card.int8.sha256 == hashlib.sha256(small.read_bytes()).hexdigest()
    assert card.int8.validation == card.validation
    text = network.with_suffix(".md").read_text(encoding="utf-8")
    assert "| attention-m, 8 bits |" in text
    assert "python -m tools.quantize models/attention-m.safetensors" in text

    evaluations = json.loads(found.read_text())
    evaluations[1]["sets"]["heavy"]["psnr_y"] -= 0.4
    found.write_text(json.dumps(evaluations))
    assert write_card(arguments) == 1
    assert "loses 0.40 dB in heavy rain" in capsys.readouterr().err
    evaluations.pop(1)
    found.write_text(json.dumps(evaluations))
    assert write_card(arguments) == 1
    assert "attention-m.int8.onnx as it is" in capsys.readouterr().err
