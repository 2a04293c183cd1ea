"""The page's files: they need nothing from elsewhere, and nothing that a strict policy forbids."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "streamderain" / "service" / "page"
FILES = sorted(path for path in PAGE.iterdir() if path.is_file())


def of(*suffixes):
    return [path for path in FILES if path.suffix in suffixes]


def test_everything_that_the_page_asks_for_is_there():
    asked = set(re.findall(r'(?:href|src)="page/([^"]+)"', (PAGE / "index.html").read_text()))
    for script in of(".js"):
        asked |= set(re.findall(r'from "\./([^"]+)"', script.read_text()))
    assert asked | {"index.html"} == {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path):
    text = re.sub(r"http://www\.w3\.org/\S+", "", path.read_text())  # names, never fetched
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]{2,}", text)
    assert "@import" not in text


@pytest.mark.parametrize("path", of(".html", ".js"), ids=lambda path: path.name)
def test_nothing_needs_what_a_strict_policy_forbids(path):
    text = path.read_text()
    assert not re.search(r"\b(eval|innerHTML|outerHTML|insertAdjacentHTML|document\.write)\b", text)
    assert not re.search(r'\sstyle\s*[=:]\s*["`{]', text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style|\son[a-z]+=", text)


@pytest.mark.parametrize("path", of(".js"), ids=lambda path: path.name)
def test_every_module_is_javascript_that_can_be_read(path, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("this test needs Node.js")
    copy = tmp_path / f"{path.stem}.mjs"
    copy.write_text(path.read_text())
    subprocess.run([node, "--check", str(copy)], check=True, capture_output=True, timeout=60)
