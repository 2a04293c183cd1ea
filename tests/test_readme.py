"""What README and docs say is so: options exist, files exist, figures are those of the cards."""

import re
import shlex
from pathlib import Path

import pytest

from streamderain.cli import main
from streamderain.models import available_models

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page):
    """Every command of the code blocks, continued lines joined, comments and pipes cut off."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    for block in (text for language, text in blocks if not language):
        for line in re.sub(r"(\\|\|)\n", " | ", block).splitlines():
            for command in line.split("|"):
                words = shlex.split(command, comments=True)
                if words:
                    yield words


def options(words):
    return [word.split("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*", word)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_of_every_command_exists(page, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for words in commands(page):
        if words[0] != "streamderain" or len(words) == 1:
            continue
        assert main([words[1], "--help"]) == 0
        known = capsys.readouterr().out
        for option in options(words[2:]):
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", known), (page.name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_tool_that_is_named_exists_and_takes_the_options(page):
    for words in commands(page):
        if words[:2] != ["python", "-m"]:
            continue
        source = ROOT / Path(*words[2].split(".")).with_suffix(".py")
        assert source.exists(), (page.name, words)
        for option in options(words[3:]):
            if option.startswith("--"):
                assert f'"{option}"' in source.read_text(encoding="utf-8"), (page.name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "#")):
            assert (page.parent / target.split("#")[0]).exists(), (page.name, target)


def test_the_figures_of_the_readme_are_those_of_the_cards():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for info in available_models():
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{info.name}` |"))
        for rain in ("light", "heavy", "dry"):
            assert f"{info.card.validation[rain].psnr_y:.2f}" in row
        assert f"{info.card.macs_per_pixel:,.0f}" in row
        assert f"{info.card.parameters / 1e6:.2f} M" in row
