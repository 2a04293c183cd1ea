"""The page's files: they need nothing from elsewhere, and nothing that a strict policy forbids."""

import json
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


ASKED = """
import { cameraOf, withoutSecrets } from "./form.js";
const [told, typed] = JSON.parse(process.argv[2]);
const { camera, kept } = withoutSecrets(told);
const fields = new Map(Object.entries({ source: camera.source, transport: "tcp", ...typed }));
try {
  console.log(JSON.stringify(cameraOf(fields, camera, kept)));
} catch (error) {
  console.log(JSON.stringify(error.message));
}
"""


@pytest.mark.parametrize(
    ("told", "typed", "said"),
    [
        ({"source": "http://h/x?pwd=***"}, {}, "The address of this camera has a secret"),
        ({"source": "http://h/x?pwd=***"}, {"source": "http://h/x?pwd=new"}, None),
        ({"source": "rtsp://***@h/x"}, {}, None),
        (
            {"source": "rtsp://h/x", "outputs": [{"address": "rtsp://***@o/x"}]},
            {},
            "An output of this camera has a password",
        ),
    ],
)
def test_a_secret_that_is_not_told_is_asked_for_where_it_is(tmp_path, told, typed, said):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is needed to run a script of the page")
    for script in of(".js"):
        shutil.copy(script, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "asked.js").write_text(ASKED)
    done = subprocess.run(
        [node, "asked.js", json.dumps([told, typed])],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    if said is None:
        assert answer["source"] == {**told, **typed}["source"].replace("***@", "")
    else:
        assert answer.startswith(said)
