"""``streamderain demo``: the whole pipeline on the drawn street, in a second or less of it."""

import re

import av
import cv2
import pytest

from streamderain.cli import main

NAMES = ["clean.mp4", "compare.mp4", "compare.png", "rainy.mp4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "made"
    assert main(["demo", "-o", str(folder), "--seconds", "0.4"]) == 0
    return folder


def test_three_videos_and_a_still_are_written_and_nothing_else(folder):
    assert sorted(path.name for path in folder.iterdir()) == NAMES
    for name in NAMES:
        if name.endswith(".mp4"):
            with av.open(str(folder / name)) as container:
                frames = list(container.decode(video=0))
            assert len(frames) == 10
            assert (frames[0].width, frames[0].height) == (640, 360)
            assert [frame.pts * frame.time_base * 25 for frame in frames] == list(range(10))


def test_the_network_takes_the_rain_away(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path / "d"), "--seconds", "0.2"]) == 0
    said = capsys.readouterr().out
    before, after = (float(value) for value in re.findall(r"([0-9.]+) dB", said))
    assert after > before + 3
    for name in NAMES:
        assert str(tmp_path / "d" / name) in said


def test_the_still_shows_the_rain_on_the_left_and_the_clean_street_on_the_right(folder):
    still = cv2.imread(str(folder / "compare.png"))
    assert still.shape == (360, 640, 3)
    with av.open(str(folder / "rainy.mp4")) as container:
        rainy = [f.to_ndarray(format="bgr24") for f in container.decode(video=0)][5]
    left, right = cv2.absdiff(still, rainy)[:, :310], cv2.absdiff(still, rainy)[:, 330:]
    assert left.mean() < 0.6 * right.mean()


def test_what_is_there_is_kept_unless_told_otherwise(tmp_path, capsys):
    (tmp_path / "clean.mp4").write_bytes(b"precious")
    assert main(["demo", "-o", str(tmp_path), "--seconds", "0.2"]) == 1
    assert "clean.mp4 already" in capsys.readouterr().err
    assert (tmp_path / "clean.mp4").read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["clean.mp4"]


def test_the_null_model_changes_nothing(tmp_path, capsys):
    folder = tmp_path / "d"
    assert main(["demo", "-o", str(folder), "--seconds", "0.2", "--model", "null"]) == 0
    before, after = re.findall(r"([0-9.]+) dB", capsys.readouterr().out)
    assert before == after


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["demo", "-o", str(tmp_path / "file" / "d"), "--seconds", "0.2"]) == 1
    assert "file is not a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_demonstration_leaves_nothing(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("streamderain.inference.derainer.Derainer.clean", interrupted)
    assert main(["demo", "-o", str(tmp_path / "d"), "--seconds", "0.2"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
