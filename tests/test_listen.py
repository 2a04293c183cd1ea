"""What ``listen`` shows and saves."""

import json
import signal
import subprocess
import sys
import threading
from collections import deque
from io import StringIO

import pytest
from rich.console import Console

from streamderain.cli import main
from streamderain.client import CameraView, ReceivedFrame
from streamderain.errors import UsageError
from streamderain.listen import FrameSaver, summary, table
from streamderain.readers.pictures import read_picture
from streamderain.writers.zeromq import CameraPublisher, PublisherSettings, ZeroMqPublisher
from tests.clips import read_all
from tests.live_frames import live_frame
from tests.test_wire import header


def view(**changes):
    known = {
        "received": 250, "lost": 3, "derained": 240, "bypassed": {"overload": 10}, "state": "live",
        "ages_s": deque([0.05] * 19 + [0.3]), "last": header(),
    }  # fmt: skip
    return CameraView(**{**known, **changes})


def drawn(rows, **more):
    console = Console(file=StringIO(), width=120)
    console.print(table(rows, **more))
    return console.file.getvalue()


def test_rates_are_of_the_last_interval_and_ages_are_quantiles():
    row = summary(view(), view(received=200), 2.0)
    assert (row["fps"], row["age_p50_ms"], row["lost"]) == (25.0, 50, 3)
    assert 50 < row["age_p95_ms"] <= 300
    assert row["size"] == "32x24"


def test_the_table_shows_every_camera_and_fits_a_terminal():
    rows = {
        "gate": summary(view(), None, 10.0),
        "yard": summary(CameraView(state="backoff"), None, 1),
    }
    said = drawn(rows)
    assert all(len(line) <= 120 for line in said.splitlines())
    for words in ("gate", "live", "25.0", "age p50, ms", " 50 ", "10 overload", "yard", "backoff"):
        assert words in said


def test_a_narrow_terminal_cuts_no_state_and_no_name():
    rows = {"north-gate": summary(CameraView(state="connecting"), None, 1)}
    console = Console(file=StringIO(), width=80)
    console.print(table(rows))
    said = console.file.getvalue()
    assert "connecting" in said
    assert "…" not in said


def test_an_empty_table_and_a_refusal_say_so():
    assert "nothing yet" in drawn({})
    assert "refused: no key" in drawn({}, refused="no key")


class Publishing:
    """Two cameras that publish for as long as it takes."""

    def __enter__(self):
        self.socket = ZeroMqPublisher(PublisherSettings("tcp://127.0.0.1:0"))
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self.socket.address

    def run(self):
        cameras = [CameraPublisher(self.socket, name, "run1") for name in ("gate", "yard")]
        index = 0
        while not self.stop.wait(0.01):
            for camera in cameras:
                frame = live_frame(index, camera._camera, size=(24, 32))
                frame.t_capture_ns = 1_795_236_372_000_000_000 + index * 40_000_000
                frame.decoded, frame.derained = index + 1, True
                camera.write(frame)
            index += 1

    def __exit__(self, *reason):
        self.stop.set()
        self.thread.join()
        self.socket.close()


def test_lines_are_told_where_there_is_no_terminal(capsys):
    with Publishing() as address:
        assert main(["listen", address, "--seconds", "1.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("gate: ") and "32x24" in line for line in lines)
    assert any(line.startswith("yard: ") for line in lines)


def test_json_is_a_line_a_camera_and_only_that_asked_for(capsys):
    with Publishing() as address:
        assert main(["listen", address, "--seconds", "1.5", "--json", "--camera", "yard"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["camera"] for row in found} == {"yard"}
    assert found[0]["received"] > 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_interrupted_is_its_usual_end_and_ends_the_video(tmp_path, number):
    with Publishing() as address:
        command = [sys.executable, "-m", "streamderain", "listen", address, "--save", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline()
            process.send_signal(number)
    assert process.returncode == 0
    (path,) = (tmp_path / "gate").iterdir()
    assert len(read_all(path)[0]) > 10


@pytest.mark.parametrize("kind", ["png", "jpg", "mp4"])
def test_frames_are_saved(tmp_path, kind):
    with Publishing() as address:
        arguments = ["listen", address, "--seconds", "1", "--save", str(tmp_path), "--as", kind]
        assert main(arguments) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"gate", "yard"}
    files = sorted((tmp_path / "gate").iterdir())
    assert all(path.suffix == f".{kind}" for path in files)
    if kind == "mp4":
        frames, _ = read_all(files[0])
        assert len(frames) > 10
    else:
        assert len(files) > 10
        assert read_picture(files[0])[0].shape == (24, 32, 3)


def test_a_kind_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(UsageError, match="png, jpg, mp4"):
        FrameSaver(tmp_path, "gif")
    assert main(["listen", "tcp://127.0.0.1:1", "--save", str(tmp_path), "--as", "gif"]) == 2


def test_pictures_of_two_sessions_do_not_replace_each_other(tmp_path):
    saver = FrameSaver(tmp_path, "png")
    for session in (0, 1):
        frame = live_frame(5, size=(24, 32))
        saver.save(ReceivedFrame(header(session=session, src_index=5), frame.pixels, 0.0))
    assert len(list((tmp_path / "gate").iterdir())) == 2


def test_nothing_that_comes_is_told(capsys, monkeypatch):
    monkeypatch.setattr("streamderain.listen.SILENT_S", 0.5)
    assert main(["listen", "tcp://127.0.0.1:9", "--seconds", "2.2"]) == 1
    said = capsys.readouterr().err
    assert "nothing has come yet" in said
    assert "error: nothing came" in said


def test_a_bad_address_is_a_sentence(capsys):
    assert main(["listen", "gate"]) == 2
    assert "is no address to subscribe to" in capsys.readouterr().err
