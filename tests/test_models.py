"""Shipped models: names, cards, files."""

import hashlib
import shutil
import subprocess
import sys

import pytest
import yaml

from streamderain.errors import ModelError
from streamderain.models import (
    NULL,
    available_models,
    models_folder,
    read_card,
    resolve_model,
    sha256_of,
)

SCORE = {"psnr_y": 30.0, "ssim_y": 0.9, "psnr_rgb": 29.0, "ssim_rgb": 0.89}


def ship(folder, name, weights=b"weights", **changes):
    """Put a network and its card into a folder; return the card's path."""
    (folder / f"{name}.onnx").write_bytes(weights)
    card = {
        "name": name, "network": "attention-m", "purpose": "tests", "speed": "any",
        "trained_on": "nothing", "terms": "none", "parameters": 1, "macs_per_pixel": 10.0,
        "training_steps": 5, "sha256": hashlib.sha256(weights).hexdigest(),
        "validation": {"light": SCORE},
    } | changes  # fmt: skip
    path = folder / f"{name}.md"
    path.write_text(f"---\n{yaml.safe_dump(card)}---\n\n# {name}\n\nA table:\n\n---\n", "utf-8")
    return path


def test_shipped_models_have_cards_that_describe_their_very_files():
    shipped = available_models()
    assert "attention-m" in [info.name for info in shipped]
    for info in shipped:
        assert info.path.parent == models_folder()
        assert info.card.name == info.name == info.path.stem
        assert sha256_of(info) == info.card.sha256
        assert set(info.card.validation) == {"light", "heavy", "dry"}
        assert resolve_model(info.name) == info


def test_cards_tell_the_hash_of_every_file_in_their_text_as_well():
    for info in available_models():
        text = info.path.with_suffix(".md").read_text(encoding="utf-8").split("---\n", 2)[2]
        hashes = {info.card.sha256, info.card.pytorch_sha256}
        for eight_bits in filter(None, [info.card.int8]):
            hashes |= {eight_bits.sha256, eight_bits.planes_sha256}
        assert all(sha256 in text for sha256 in hashes if sha256), info.name


def test_networks_for_planes_are_beside_those_for_rgb(tmp_path):
    found = {info.name: info.for_planes() for info in available_models()}
    assert {name for name, planes in found.items() if planes} >= {"video-xs", "video-s", "video-m"}
    for info in available_models():
        if found[info.name]:
            assert found[info.name].path.name == f"{info.name}.planes.int8.onnx"
            shutil.copy2(found[info.name].path, tmp_path)
            shutil.copy2(info.path.with_suffix(".md"), tmp_path)
            shutil.copy2(info.path, tmp_path)
    (info, *_) = available_models(tmp_path)
    (tmp_path / f"{info.name}.planes.int8.onnx").write_bytes(b"another")
    with pytest.raises(ModelError, match=r"planes.int8.onnx is not the file that its card"):
        info.for_planes()


def test_a_wheel_has_its_models_inside_and_a_checkout_beside(tmp_path, monkeypatch):
    monkeypatch.setattr("streamderain.models.__file__", str(tmp_path / "streamderain/models.py"))
    assert models_folder() == tmp_path / "models"
    (tmp_path / "streamderain/_models").mkdir(parents=True)
    assert models_folder() == tmp_path / "streamderain/_models"


def test_models_are_listed_from_the_cheapest(tmp_path):
    ship(tmp_path, "slow", macs_per_pixel=900)
    ship(tmp_path, "quick", macs_per_pixel=5)
    ship(tmp_path, "fair", macs_per_pixel=50)
    assert [info.name for info in available_models(tmp_path)] == ["quick", "fair", "slow"]


def test_the_null_model_has_no_file():
    info = resolve_model(NULL)
    assert info.path is None
    assert sha256_of(info) is None


def test_an_unknown_name_says_which_names_there_are(tmp_path):
    ship(tmp_path, "rain-away")
    with pytest.raises(ModelError, match=r"'sunshine'; there are rain-away, null;"):
        resolve_model("sunshine", tmp_path)


def test_a_path_needs_no_card(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"anything")
    info = resolve_model(str(path))
    assert (info.name, info.path, info.card) == ("mine", path, None)


def test_a_missing_path_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="is not there"):
        resolve_model(str(tmp_path / "none.onnx"))
    with pytest.raises(ModelError, match="is a folder"):
        resolve_model(f"{tmp_path}/")


def test_a_shipped_file_that_changed_is_refused(tmp_path):
    ship(tmp_path, "net")
    (tmp_path / "net.onnx").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="not the file that its card describes"):
        resolve_model("net", tmp_path)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"parameters": "many"}, "parameters"),
        ({"colour": "blue"}, "colour"),
        ({"sha256": "short"}, "sha256"),
        ({"validation": {"light": {**SCORE, "psnr_y": "good"}}}, "validation.light.psnr_y"),
    ],
)
def test_a_card_that_is_wrong_says_where(tmp_path, changes, where):
    with pytest.raises(ModelError, match=f"is wrong at {where}"):
        read_card(ship(tmp_path, "net", **changes))


@pytest.mark.parametrize(
    "text", [None, "", "# only prose\n", "words\n---\na: 1\n---\n", "---\n: :"]
)
def test_a_missing_or_shapeless_card_is_a_sentence(tmp_path, text):
    path = tmp_path / "net.md"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(ModelError, match=r"the model card .*net\.md can't be read"):
        read_card(path)


@pytest.mark.parametrize("heavy", ["torch", "onnxruntime", "onnx", "cv2", "av"])
def test_importing_the_models_loads_nothing_heavy(heavy):
    code = f"import streamderain.models, sys; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
