"""Every command, configuration and script of README and docs is one that can be run."""

import ast
import functools
import importlib
import importlib.util
import itertools
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from io import StringIO
from pathlib import Path
from unittest import mock

import pytest
import typer
import yaml

from streamderain.cli import app, main
from streamderain.config import RunConfig
from streamderain.configfile import load_config
from tests.clips import make_clip
from tests.waiting import until

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = ("", "sh", "bash", "shell", "console")

OTHERS = {
    "cp": "what it copies is looked at below",
    "export": "sets what the next lines need",
    "source": "goes into the environment that the line before has made",
    "python3": "makes that environment; tests/test_wheel.py installs into one",
    "curl": "all of them run in tests/real/test_service_docs.py",
    "docker": "the files that it takes are looked at in tests/test_recipes.py",
    "ffmpeg": "its pipes run below and in tests/test_raw_pipes.py",
    "mediamtx": "its configuration is looked at in tests/test_recipes.py",
    "printf": "writes the secrets of a recipe, all of which tests/test_recipes.py looks for",
    "T": "sets what the commands of tests/real/test_service_docs.py need",
    "J": "sets what the commands of tests/real/test_service_docs.py need",
    "S": "sets what the commands of tests/real/test_service_docs.py need",
}
"""Programs that aren't ours, and why they are left to others."""

NO_COMMANDS = {"evidence 1": "how evidence names its format"}
"""What stands as code in sentences and only looks like a command, and what it is."""

SECRETS = dict.fromkeys(
    ("GATE_PASSWORD", "YARD_PASSWORD", "PUBLISH_PASSWORD", "CAMERA_PASSWORD", "STREAMDERAIN_TOKEN"),
    "s3cret-0123456789",
)


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, *languages):
    """Return the code blocks of a page in such languages, also those in lists."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", page.read_text("utf-8"), re.S | re.M)
    return [
        re.sub(rf"^{indent}", "", text, flags=re.M)
        for indent, language, text in found
        if language in languages
    ]


def commands(text):
    """Return the words of each command of a shell block: pipes, lists and continued lines split."""
    found = []
    for line in re.sub(r"(\\|\|)\n", r"\1 ", text).replace("\\ ", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words, skips = [], False
        for word in [*lexer, ";"]:
            if set(word) <= set("<>"):
                skips = True  # what is written to isn't the command's
            elif set(word) <= set("|&;"):
                while words and re.match(r"\w+=", words[0]) and len(words) > 1:
                    words.pop(0)
                if words:
                    found.append(words)
                words = []
            elif skips:
                skips = False
            else:
                words.append(word)
    return found


def shell_commands(page):
    """Return a page's commands; of blocks that are called text only those that are ours."""
    found = [words for text in blocks(page, *SHELL) for words in commands(text)]
    for text in blocks(page, "text"):
        lines = [line for line in text.splitlines() if re.match(r"\S*(streamderain|pip) \w", line)]
        found += [words for line in lines for words in commands(line)]
    return found


@functools.cache
def command_line():
    return typer.main.get_command(app)


def parsed(words):
    """Parse a command line of streamderain as it does itself, without running anything."""
    group = command_line()
    context = group.make_context("streamderain", list(words))
    if not words:
        return
    name, command, rest = group.resolve_command(context, list(words))
    command.make_context(name, rest, parent=context)


@functools.cache
def help_of(module, *subcommand):
    """Return what a maker's command says of itself."""
    said = StringIO()
    with (
        mock.patch("sys.stdout", said),
        mock.patch.dict(os.environ, COLUMNS="200"),
        pytest.raises(SystemExit) as ended,
    ):
        importlib.import_module(module).main([*subcommand, "--help"])
    assert ended.value.code == 0
    return said.getvalue()


def check_tool(words):
    module, *rest = words
    assert importlib.util.find_spec(module), f"there is no {module}"
    if module.startswith("tools."):
        pytest.importorskip("torch", reason="the makers' commands need streamderain[torch]")
        # A first word that the command offers as a choice has options of its own.
        offered = re.search(r"\{([\w,]+)\} \.\.\.", help_of(module))
        chosen = rest[:1] if offered and rest[:1] and rest[0] in offered[1].split(",") else []
        known = help_of(module, *chosen)
        for word in rest:
            option = word.split("=")[0]
            if re.fullmatch(r"-[a-z]|--[a-z][a-z-]*", option):
                assert re.search(rf"(?<![\w-]){option}(?![\w-])", known), (module, option)


def check_pip(words):
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    if words[0] != "install":
        return
    for extras in re.findall(r"(?:streamderain|\.)\[([\w,]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= known["optional-dependencies"].keys()
    for option, value in itertools.pairwise(words):
        if option == "--constraint":
            assert (ROOT / value).exists()


def check_make(words):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    given = dict(word.split("=", 1) for word in words if "=" in word)
    assert {word for word in words if "=" not in word} <= set(targets)
    assert set(given) <= {"ARGS"}
    assert all((ROOT / text.split()[0]).exists() for text in given.values())


def check(words):
    """Say whether a command is one of ours, and whether it can be run as it stands."""
    program = Path(words[0].partition("=")[0]).name
    if program == "streamderain":
        parsed(words[1:])
    elif program == "python" and words[1] == "-m":
        check_tool(words[2:])
    elif program == "python" and words[1].startswith("examples/"):
        assert (ROOT / words[1]).exists()
    elif program == "pip":
        check_pip(words[1:])
    elif program == "make":
        check_make(words[1:])
    elif program == "cp":
        assert (ROOT / words[1]).exists()
    else:
        assert program in OTHERS, f"no test knows {program!r}: {shlex.join(words)}"


@pytest.mark.parametrize("page", [page for page in PAGES if shell_commands(page)], ids=name_of)
def test_every_command_of_a_page_is_understood(page):
    for words in shell_commands(page):
        try:
            check(words)
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 - the parser's own, which says what is wrong
            said = getattr(error, "format_message", lambda error=error: error)()
            pytest.fail(f"{shlex.join(words)}: {said}")


def test_wrong_commands_are_found():
    for wrong in (
        "streamderain clean gate.mp4 --modle video-s",
        "streamderain clena gate.mp4",
        "streamderain bench --cameras many",
        "pip install '.[cpu,nothing]'",
        "make nothing",
        "unknown thing",
    ):
        with pytest.raises(Exception, match=r".+"):  # the parser's or an assertion
            check(commands(wrong)[0])


def test_lines_are_split_as_a_shell_does():
    text = "A=1 a 'b c' | d > e && f  # g\nh \\\n  -i |\n  j"
    assert commands(text) == [["a", "b c"], ["d"], ["f"], ["h", "-i"], ["j"]]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_within_sentences_have_options_that_exist(page):
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.S | re.M)
    known = command_line().commands
    for code in re.findall(r"`streamderain ([^`]+)`", text):
        name, *words = code.split()
        if name.startswith("--") or code in NO_COMMANDS:
            continue
        assert name in known, code
        offered = {opt for each in known[name].params for opt in (*each.opts, *each.secondary_opts)}
        for word in words:
            if re.fullmatch(r"-[a-z]|--[a-z-]+", word):
                assert word in {*offered, "--help", "--debug"}, code


def configurations(page):
    """Return the YAML blocks of a page that are ours, as a whole configuration each."""
    for text in blocks(page, "yaml"):
        data = yaml.safe_load(text)
        known = {*RunConfig.model_fields, "outputs"}
        theirs = any("ffmpeg" in camera for camera in (data.get("cameras") or {}).values())
        if isinstance(data, dict) and data.keys() <= known and not theirs:
            if "outputs" in data:  # of a camera, shown by itself
                text = f"defaults:\n{re.sub('^', '  ', text, flags=re.M)}"
            yield text if "cameras" in data else f"{text}\ncameras: {{a: {{source: scene}}}}\n"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=name_of)
def test_configurations_of_a_page_are_valid(page, tmp_path):
    for text in configurations(page):
        file = tmp_path / "my.yaml"
        file.write_text(text, encoding="utf-8")
        load_config(file, SECRETS)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_scripts_of_a_page_are_python(page):
    for text in blocks(page, "python"):
        ast.parse(text)


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """A folder with what the quick starts clean."""
    make_clip(tmp_path / "gate.mp4")
    make_clip(tmp_path / "yard.mkv")
    (tmp_path / "recordings").mkdir()
    make_clip(tmp_path / "recordings" / "street.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["index", "quickstart-recordings"])
def test_the_quick_starts_for_recordings_run(name, recordings, capsys):
    page = ROOT / "docs" / f"{name}.md"
    ran = 0
    for text in blocks(page, *SHELL):
        for words in commands(text):
            if words[:2] == ["streamderain", "clean"] and "-" not in words:
                assert main(words[1:]) == 0, (words, capsys.readouterr().err)
                ran += 1
    assert ran >= 2
    assert (recordings / "gate.clean.mp4").exists()
    assert (recordings / "gate.sample.compare.mp4").exists()
    if name != "index":
        assert {path.name for path in (recordings / "clean").iterdir()} == {
            "gate.mp4", "street.mp4", "yard.mkv",
        }  # fmt: skip


def test_the_quick_start_from_pipe_to_pipe_runs(recordings):
    if not shutil.which("ffmpeg"):
        pytest.skip("this test needs the program ffmpeg")
    page = ROOT / "docs" / "quickstart-recordings.md"
    (pipe,) = (text for text in blocks(page, *SHELL) if "-o -" in text)
    place = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", pipe], capture_output=True, timeout=120, check=False,
        env=place, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert (recordings / "out.mp4").stat().st_size > 0


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """The quick start's cameras at work: the address of its frames, and of its page."""
    pytest.importorskip("starlette", reason="the page needs its packages, streamderain[service]")
    (first, *_) = blocks(ROOT / "docs" / "quickstart-live.md", "yaml")
    assert first in blocks(ROOT / "docs" / "index.md", "yaml")
    frames, page = f"tcp://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    assert '"127.0.0.1:8080"' in first
    text = first.replace("127.0.0.1:8080", page)
    text = text.replace("scene:heavy", "scene:heavy?size=160x96&fps=10")
    folder = tmp_path_factory.mktemp("live")
    # Only the ports are others, since somebody may have these, and the picture is smaller.
    (folder / "my.yaml").write_text(
        f"{text}defaults: {{outputs: [{{type: zeromq, address: '{frames}'}}]}}\n"
    )
    assert main(["check", str(folder / "my.yaml")]) == 0
    log = (folder / "log").open("wb")
    running = subprocess.Popen(
        [sys.executable, "-m", "streamderain", "run", "my.yaml"], cwd=folder, stdout=log, stderr=log
    )
    try:
        yield frames, f"http://{page}", folder
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0, (folder / "log").read_text("utf-8")
    finally:
        running.kill()
        running.wait()
        log.close()


def answers(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_the_quick_start_for_live_cameras_runs(live, capsys):
    frames, page, _ = live
    until(lambda: answers(f"{page}/readyz"), 60)
    assert answers(page)
    asked = [words for text in blocks(ROOT / "docs" / "quickstart-live.md", *SHELL)
             for words in commands(text) if words[1:2] == ["listen"]]  # fmt: skip
    (words,) = asked
    words = [frames if word.startswith("tcp:") else word for word in words[1:]]
    words[words.index("--seconds") + 1] = "2"
    assert main([*words, "--json"]) == 0
    assert '"test"' in capsys.readouterr().out


def test_the_quick_start_for_detectors_runs(live, recordings, capsys):
    frames, _, _ = live
    scripts = [
        text
        for name in ("index", "quickstart-detection")
        for text in blocks(ROOT / "docs" / f"{name}.md", "python")
    ]
    assert len(scripts) == 5
    for script in scripts:
        if "Subscriber" in script:  # goes on for ever: its first frame is enough
            script = f"{script.rstrip()}\n        break\n"
        script = script.replace("tcp://127.0.0.1:5555", frames)
        exec(compile(script, "docs", "exec"), {})
    said = capsys.readouterr().out
    assert said.count("(48, 64, 3)") == 3 * 12 + 1  # three that read the clip, one array
    assert re.search(r"^test \(\d+, \d+, 3\) (True|False)", said, re.M)
