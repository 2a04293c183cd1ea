"""The configuration: inherited, filled from the environment, and refused line by line."""

import contextlib
import os
from pathlib import Path
from typing import get_args

import pytest

from streamderain.cli import main
from streamderain.config import RecordOutput, RunConfig, ZeroMqOutput
from streamderain.configcheck import find_problems, missing_sources
from streamderain.configfile import load_config
from streamderain.errors import ConfigError, UsageError
from streamderain.inference.create import BACKENDS
from streamderain.source import SourceKind, hide_secrets, parse_source

REFERENCE = Path(__file__).parents[1] / "configs" / "cameras.yaml"


def written(tmp_path, text, name="cameras.yaml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path, text, **environment):
    return load_config(written(tmp_path, text), environment)


def refused(tmp_path, text, **environment):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environment)
    assert caught.value.exit_code == 2
    return str(caught.value).replace(str(tmp_path), "")


def test_a_camera_needs_nothing_but_its_source(tmp_path):
    config = load(tmp_path, "cameras:\n  gate: {source: 'rtsp://10.0.0.5/live'}\n")
    gate = config.camera("gate")
    assert gate.parsed.kind is SourceKind.NETWORK
    assert (gate.effective_policy, gate.transport, gate.outputs) == (
        "latest", "tcp", [ZeroMqOutput()],
    )  # fmt: skip


def test_cameras_inherit_what_they_do_not_say(tmp_path):
    config = load(
        tmp_path,
        """
defaults: {transport: udp, max_fps: 10, stall: 8s}
cameras:
  a: {source: rtsp://h/a}
  b: {source: rtsp://h/b, transport: tcp, max_fps: null}
""",
    )
    a, b = config.camera("a"), config.camera("b")
    assert (a.transport, a.max_fps, a.stall) == ("udp", 10, 8)
    assert (b.transport, b.max_fps, b.stall) == ("tcp", None, 8)


def test_files_wait_and_cameras_do_not(tmp_path):
    config = load(
        tmp_path,
        "cameras: {f: {source: a.mp4}, s: {source: scene}, w: {source: /dev/video0}, "
        "x: {source: a.mp4, policy: latest}}",
    )
    found = {name: config.camera(name).effective_policy for name in config.cameras}
    assert found == {"f": "block", "s": "latest", "w": "latest", "x": "latest"}


def test_paths_start_from_the_files_folder(tmp_path):
    config = load(
        tmp_path,
        """
model: nets/my.onnx
defaults:
  outputs:
    - {type: record, folder: out}
    - {type: zeromq, curve: {secret_key: k/server.key_secret, clients: k/clients}}
cameras: {f: {source: clips/a.mp4}, abs: {source: /clips/a.mp4}}
""",
    )
    record, publish = config.camera("f").outputs
    assert isinstance(record, RecordOutput)
    assert record.folder == tmp_path / "out"
    assert publish.curve.secret_key == tmp_path / "k" / "server.key_secret"
    assert config.model == str(tmp_path / "nets/my.onnx")
    assert config.camera("f").parsed.address == str(tmp_path / "clips/a.mp4")
    assert config.camera("abs").parsed.address == "/clips/a.mp4"


def test_secrets_come_from_the_environment_and_are_escaped_in_addresses(tmp_path):
    config = load(
        tmp_path,
        """
cameras:
  a: {source: "rtsp://admin:${PW}@${HOST}/live"}
  b: {source: "rtsp://h/live", user: admin, password: "${PW}"}
  c: {source: "rtsp://${NONE:-fallback}/live"}
""",
        PW="p@ss/w:rd",
        HOST="10.0.0.5:8554",
    )
    assert config.camera("a").parsed.address == "rtsp://admin:p%40ss%2Fw%3Ard@10.0.0.5:8554/live"
    assert config.camera("b").parsed.address == "rtsp://admin:p%40ss%2Fw%3Ard@h/live"
    assert config.camera("c").parsed.address == "rtsp://fallback/live"
    for name in "ab":
        assert "p@ss/w:rd" in config.camera(name).parsed.secrets
        assert "p" not in config.camera(name).parsed.shown.replace("rtsp", "")


def test_every_problem_is_told_with_its_line_and_key(tmp_path):
    said = refused(
        tmp_path,
        """devise: cpu
defaults:
  transport: tpc
  stall: 5 days
  outputs:
    - {type: zeromq, adress: x}
    - {type: foo}
cameras:
  gate:
    source: rtsp://h/x
    max_fps: -3
    region: [0, 0, 4, 4]
  "a b":
    source: scene
  c:
    sources: x
  d:
    source: ftp://h/x
""",
    )
    assert said.splitlines() == [
        "/cameras.yaml:1: devise: unknown key; did you mean device?",
        "/cameras.yaml:3: defaults.transport: input should be 'tcp' or 'udp', not 'tpc'",
        "/cameras.yaml:4: defaults.stall: a duration is above 0 and written like 5s, 500ms, 2m, 1h "
        "or 00:01:30, not '5 days'",
        "/cameras.yaml:6: defaults.outputs[0].adress: unknown key; did you mean address?",
        "/cameras.yaml:7: defaults.outputs[1]: type must be one of 'zeromq', 'record', 'rtsp'",
        "/cameras.yaml:11: cameras.gate.max_fps: input should be greater than 0, not -3",
        "/cameras.yaml:13: cameras.a b: a camera's id is 1 to 64 letters, digits, dots, dashes "
        "and underscores",
        "/cameras.yaml:15: cameras.c.source: is missing",
        "/cameras.yaml:16: cameras.c.sources: unknown key; did you mean source?",
        "/cameras.yaml:17: cameras.d: a source of the kind ftp:// is not known; there are "
        "rtsp://, rtsps://, http://, https://, rtmp://, rtmps://, srt://, udp://, rtp://, files, "
        "/dev/video0 and scene:heavy",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no configuration"),
        ("- a\n", "holds no configuration"),
        ("cameras: {}\n", "cameras: "),
        ("model: x\n", "cameras: is missing"),
        ("cameras: {a: {source: x}\n", "not valid YAML"),
        ("cameras:\n  a: {source: x}\n  a: {source: y}\n", ":3: cameras.a: is there twice"),
        ("cameras: {a: {source: '${NOPE}'}}", "variable NOPE is not set"),
        ("cameras: {a: {source: x, region: [0, 0, 4, 4]}}", "at least 16 pixels"),
        ("cameras: {a: {source: x, resize: big}}", "WIDTHxHEIGHT"),
        ("cameras: {a: {source: x, outputs: []}}", "outputs"),
        ("cameras: {a: {source: x, backoff: 60s}}", "backoff_most"),
        ("cameras: {a: {source: x, outputs: [{type: zeromq, address: host}]}}", "tcp://HOST:PORT"),
        (
            "cameras:\n  a: {source: x, outputs: [{type: zeromq, codec: raw}]}\n  b: {source: y}\n",
            "the outputs at tcp://127.0.0.1:5555 differ",
        ),
        (
            "cameras: {a: {source: x, outputs: [{type: rtsp, address: http://h/a}]}}",
            "an address to push to is rtsp://HOST:PORT/{camera}, or rtsps://",
        ),
        ("cameras: {a: {source: x, outputs: [{type: rtsp, bitrate: fast}]}}", "800k or 2M"),
        (
            "defaults: {outputs: [{type: rtsp, address: rtsp://h/x}]}\n"
            "cameras: {a: {source: x}, b: {source: y}}",
            "cameras a and b both push to rtsp://h/x; put {camera} into the address",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, text, words):
    assert words in refused(tmp_path, text)


def test_a_stream_is_pushed_to_the_cameras_own_address(tmp_path):
    config = load(
        tmp_path,
        "cameras:\n  gate:\n    source: scene\n    outputs:\n"
        "      - {type: rtsp, address: 'rtsp://h:8554/clean/{camera}', user: p, password: '${PW}',"
        " bitrate: 2M, gop: 500ms}\n",
        PW="p@ss/w",
    )
    (output,) = config.camera("gate").outputs
    target = output.target("gate")
    assert target.shown == "rtsp://h:8554/clean/gate"
    assert target.address == "rtsp://p:p%40ss%2Fw@h:8554/clean/gate"
    assert (output.bitrate, output.gop, output.crf) == (2_000_000, 0.5, 23)


def test_no_message_repeats_a_password(tmp_path):
    said = refused(
        tmp_path,
        "cameras:\n  a: {source: 'foo://admin:s3cr3t@h', password: 12345}\n"
        "  b: {source: 'rtsp://u:s3@cr3t/x@h/y'}\n",
    )
    assert "s3" not in said
    assert "12345" not in said
    assert "cameras.a.password" in said
    assert "%40" in said


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "none.yaml")
    binary = tmp_path / "a.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_config(binary)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("book: ipc:///run/book", "cluster.book: subscribers on all nodes read the book"),
        ("ports: 5600", "cluster.ports: ports are FIRST-LAST, such as 5600-5699"),
        ("ports: 80-90", "from 1024 to 65535"),
        ("ports: 5700-5600", "ports are FIRST-LAST"),
        ("gpus: 1.5", "cluster: gpus: above 1 Ray gives whole ones; 1 or 2, not 1.5"),
        ("silence: 500ms", "cluster: silence: 0.5 s is too short"),
        ("cameras_per_worker: 0", "cluster.cameras_per_worker: input should be greater"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(tmp_path, text, words):
    said = refused(tmp_path, f"cluster: {{{text}}}\ncameras: {{a: {{source: scene}}}}\n")
    assert words in said


def test_the_keys_of_the_book_start_from_the_files_folder(tmp_path):
    text = "cluster: {curve: {secret_key: k/server.key_secret}}\ncameras: {a: {source: scene}}\n"
    config = load_config(written(tmp_path, text))
    assert config.cluster.curve.secret_key == tmp_path / "k/server.key_secret"


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("rtsp://u:p@h:554/a", SourceKind.NETWORK, "rtsp://h:554/a"),
        ("RTSP://h/a@b", SourceKind.NETWORK, "RTSP://h/a@b"),
        ("http://[::1]:80/x.m3u8", SourceKind.NETWORK, "http://[::1]:80/x.m3u8"),
        ("/dev/video2", SourceKind.WEBCAM, "/dev/video2"),
        ("file:///a b.mp4", SourceKind.FILE, "/a b.mp4"),
        ("scene:light?size=320x240&fps=10", SourceKind.SCENE, "scene:light?size=320x240&fps=10"),
    ],
)
def test_sources_are_understood(text, kind, shown):
    source = parse_source(text)
    assert (source.kind, source.shown) == (kind, shown)


@pytest.mark.parametrize(
    "text", ["rtsp://", "rtsp://h:99999/", "rtsp://u:a@b/c@h/x", "rtsp://u:a/b@h/x", "scene:hail"]
)
def test_sources_that_cannot_be_are_refused(text):
    with pytest.raises(UsageError):
        parse_source(text)


@pytest.mark.parametrize(
    "text",
    [
        "rtsp://u:hunter2@h/x was lost",
        "x http://hunter2@h/ y rtsp://a:b@c/hunter2@d",
        "the password hunter2 is wrong, also hunter%322",
    ],
)
def test_secrets_are_hidden_wherever_they_stand(text):
    assert "hunter" not in hide_secrets(text, ["hunter2", "hunter%322"])


def test_problems_of_all_kinds_are_told_at_once(tmp_path):
    said = refused(
        tmp_path,
        """cameras:
  a:
    source: rtsp://h/x
    password: ${NOT_SET_ANYWHERE}
    max_fps: -1
    resize: 1
  b: [1, 2]
""",
    )
    lines = [line.partition(": ")[0].rpartition(":")[2] for line in said.splitlines()]
    assert lines == ["4", "5", "6", "7"]
    assert "NOT_SET_ANYWHERE is not set" in said
    assert "should hold keys and values, indented below it" in said


def test_what_keeps_run_from_starting_has_its_line(tmp_path, capsys):
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "cameras.yaml"
    path.write_text(
        """defaults:
  outputs:
    - type: zeromq
      curve:
        secret_key: none.key_secret
cameras:
  a:
    source: none.mp4
    outputs:
      - {type: record, folder: file/below}
      - type: zeromq
        address: tcp://127.0.0.1:5556
        curve:
          clients: none
          secret_key: gone.key_secret
  b:
    source: scene
    outputs: [{type: record, folder: "new/{camera}"}]
  c:
    source: scene
""",
        "utf-8",
    )
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"note: {path}:8: cameras.a.source: {tmp_path}/none.mp4 does not exist" in said
    assert (
        f"{path}:10: cameras.a.outputs[0].folder: recordings of a can't be written to "
        f"{tmp_path}/file/below; check {tmp_path}/file" in said
    )
    key = f"{path}:15: cameras.a.outputs[1].curve.secret_key: {tmp_path}/gone.key_secret does not"
    assert key in said
    assert f"{path}:14: cameras.a.outputs[1].curve.clients: {tmp_path}/none is no" in said
    assert f"{path}:5: defaults.outputs[0].curve.secret_key: {tmp_path}/none.key_sec" in said
    assert "(camera c)" in said
    assert "cameras.b" not in said


def test_a_camera_whose_file_is_missing_is_said_and_keeps_no_other_from_going_live(
    tmp_path, capsys
):
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n  a:\n    source: none.mp4\n  b: {source: scene}\n", "utf-8")
    assert main(["check", str(path)]) == 0
    told = capsys.readouterr()
    assert f"note: {path}:3: cameras.a.source: {tmp_path}/none.mp4 does not exist" in told.err
    assert "cameras.b" not in told.err
    assert "scene" in told.out


@contextlib.contextmanager
def another_user():
    """Be one who isn't root; a test of what is forbidden has no sense else."""
    if os.name != "posix":
        pytest.skip("folders of other users need a POSIX system")
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_folder_that_may_not_be_looked_into_is_one_sentence(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    curve = {"secret_key": str(locked / "x.key_secret"), "clients": str(locked / "clients")}
    outputs = [
        {"type": "record", "folder": str(locked / "records")},
        {"type": "zeromq", "curve": curve},
    ]
    cameras = {"a": {"source": str(locked / "a.mp4"), "outputs": outputs}}
    config = RunConfig.model_validate({"model": "null", "cameras": cameras})
    locked.chmod(0)
    try:
        with another_user():
            problems, missing = find_problems(config), missing_sources(config)
    finally:
        locked.chmod(0o700)
    assert [text.partition(": ")[0] for text in problems] == [
        "cameras.a.outputs[0].folder",
        "cameras.a.outputs[1].curve.secret_key",
        "cameras.a.outputs[1].curve.clients",
    ]
    assert f"can't be written to {locked}/records; check " in problems[0]
    assert [text.partition(": ")[0] for text in missing] == ["cameras.a.source"]


def test_an_option_of_the_scene_that_is_none_is_named(tmp_path):
    said = refused(tmp_path, "cameras: {a: {source: 'scene:heavy?siez=10x10'}}\n")
    assert "has no siez; it has size and fps" in said


def test_a_configuration_may_ask_for_every_backend():
    assert get_args(RunConfig.model_fields["backend"].annotation) == BACKENDS
