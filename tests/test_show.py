"""What ``models`` prints: the table, the card, JSON; and what it says to a wrong name."""

import json

import pytest

from streamderain.cli import main
from streamderain.demo import DemoResult
from streamderain.models import available_models
from streamderain.show import show_demo

SHIPPED = [info.name for info in available_models()]


def test_the_networks_are_listed_with_size_quality_and_speed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    for info in available_models():
        (row,) = (line for line in said.splitlines() if line.strip().startswith(info.name))
        assert f"{info.card.macs_per_pixel:,.0f}" in row
        assert f"{info.card.validation['heavy'].psnr_y:.2f} dB" in row
        assert info.card.speed in row
    assert max(map(len, said.splitlines())) <= 120


def test_a_narrow_terminal_loses_no_word(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert max(map(len, said.splitlines()[:-3])) <= 60


@pytest.mark.parametrize("name", SHIPPED)
def test_a_card_is_shown_whole_with_its_terms(name, capsys):
    assert main(["models", name]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"# {name}\n")
    assert "## Terms" in said
    assert "sha256:" not in said  # the front matter is for programs


def test_programs_get_json(capsys):
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in listed] == SHIPPED
    assert main(["models", SHIPPED[0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == listed[0]


@pytest.mark.parametrize(
    ("name", "words", "code"),
    [("sunshine", "no model is named 'sunshine'", 2), ("null", "has no card", 1)],
)
def test_a_name_without_a_card_is_a_sentence(name, words, code, capsys):
    assert main(["models", name]) == code
    assert words in capsys.readouterr().err


def test_the_demonstration_tells_what_was_gained_and_where_it_is(tmp_path):
    result = DemoResult(
        files=[tmp_path / "clean.mp4"], model="attention-m", device="cpu", runtime="x", frames=200,
        frames_per_second=12.34, psnr_before=21.5, psnr_after=31.25, ssim_before=0.61,
        ssim_after=0.934,
    )  # fmt: skip
    said = show_demo(result)
    for words in ("21.50 dB", "31.25 dB", "0.9340", "200 frames", "12.3 frames/s"):
        assert words in said
    assert str(tmp_path / "clean.mp4") in said
