"""What ``pip install`` gives: the package with its weights, and no PyTorch."""

import json
import os
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet",
            "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, ROOT,
        ],
        check=True, timeout=300,
    )  # fmt: skip
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_network_with_its_card_and_nothing_of_the_makers(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / "models").iterdir():
        assert f"streamderain/_models/{path.name}" in names
    assert "streamderain/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"streamderain"}


def test_the_wheel_holds_every_file_of_the_page(wheel):
    page = ROOT / "streamderain" / "service" / "page"
    there = {path.name for path in page.iterdir()}
    assert {"index.html", "app.js", "style.css"} <= there
    held = {name for name in zipfile.ZipFile(wheel).namelist() if "/service/page/" in name}
    assert held == {f"streamderain/service/page/{name}" for name in there}


def test_an_installation_asks_for_no_pytorch_and_its_extras_for_one_runtime_each(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        needs = BytesParser().parsebytes(archive.read(name)).get_all("Requires-Dist")
    plain = [need for need in needs if "extra ==" not in need]
    assert any(need.startswith("av") for need in plain)
    assert not any(need.startswith(("torch", "onnxruntime")) for need in plain)
    for extra, runtime in (("cpu", "onnxruntime>"), ("cuda", "onnxruntime-gpu[")):
        asked = [
            need
            for need in needs
            if f"extra == '{extra}'" in need and need.startswith("onnxruntime")
        ]
        assert len(asked) == 1
        assert asked[0].startswith(runtime)


def test_an_installed_wheel_finds_its_own_networks(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    said = subprocess.run(
        [sys.executable, "-m", "streamderain", "models", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    files = [Path(model["file"]) for model in json.loads(said)]
    assert files
    assert all(file.parent == tmp_path / "streamderain" / "_models" for file in files)
