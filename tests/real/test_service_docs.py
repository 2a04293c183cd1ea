"""docs/service.md does what it says."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from streamderain.config import RunConfig
from tests.real.web import TOKEN, Running

DOCS = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    cameras = {"gate": {"source": "scene:dry?size=160x120&fps=10"}}
    with Running(tmp_path_factory.mktemp("web"), cameras) as running:
        running.live("gate")
        yield running


def commands():
    """Return all commands of the docs' table, in their order."""
    table = DOCS.partition("| what | how |")[2].partition("\n\n")[0]
    return [found for found in re.findall(r"`([^`]+)`", table) if found.startswith("curl")]


def test_every_command_of_the_docs_works(running):
    if not shutil.which("curl"):
        pytest.skip("this test needs curl")
    script = DOCS.partition("```\nS=")[2].partition("```")[0]
    script = f"S={script}".replace("http://127.0.0.1:8080", running.url)
    assert len(commands()) == 17
    for command in commands():
        shell = f"{script}\n{command.replace('curl -s', 'curl -sS --fail-with-body')}"
        done = subprocess.run(
            ["bash", "-c", shell], capture_output=True, text=True, timeout=120, check=False,
            cwd=running.folder, env={"STREAMDERAIN_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if done.stdout.startswith("{"):
            assert "error" not in json.loads(done.stdout), command
    assert (running.folder / "gate.jpg").read_bytes().startswith(b"\xff\xd8")
    assert running.camera("gate")["mode"] == "on"


def test_every_operation_is_in_the_docs(running):
    described = running.client.get("/api/v1/openapi.json").json()["paths"]
    for path in described:
        last = path.rpartition("/")[2].replace("{id}", "gate")
        assert last in DOCS, path


def test_the_configurations_of_the_docs_are_valid():
    found = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert len(found) == 2
    for text in found:
        data = yaml.safe_load(text.replace("${STREAMDERAIN_TOKEN}", TOKEN))
        config = RunConfig.model_validate({**data, "cameras": {"gate": {"source": "scene"}}})
        assert config.service is not None
