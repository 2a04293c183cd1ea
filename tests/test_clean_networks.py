"""Which network ``streamderain clean`` takes, and what of a video it looks at."""

import json
from pathlib import Path

import numpy as np
import pytest

from streamderain.clean import open_networks
from streamderain.cli import main
from streamderain.defaults import PICTURE_MODEL, VIDEO_MODEL
from streamderain.jobs import JobKind
from streamderain.readers.pictures import read_picture
from streamderain.writers.pictures import write_picture
from tests.test_cli_clean import count_frames, left_in, make_clip


def test_videos_and_pictures_have_networks_of_their_own(tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    make_clip(folder / "gate.mp4", frames=5)
    write_picture(folder / "still.png", np.full((24, 32, 3), 90, np.uint8))
    assert main(["clean", str(folder), "--always", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {job["model"] for job in report["jobs"]} == {VIDEO_MODEL, PICTURE_MODEL}
    assert {model["name"] for model in report["models"]} == {VIDEO_MODEL, PICTURE_MODEL}
    by_name = {Path(job["input"]).name: job for job in report["jobs"]}
    assert by_name["gate.mp4"]["model"] == VIDEO_MODEL
    assert by_name["gate.mp4"]["derained"] == 5
    assert by_name["still.png"]["rain"] is None


def test_one_network_for_all_where_it_is_named():
    with open_networks({JobKind.VIDEO, JobKind.PICTURES}, "null") as networks:
        assert len(networks) == 2
        assert networks[JobKind.VIDEO] is networks[JobKind.PICTURES]


@pytest.mark.parametrize("frames", ["0", "4"])
def test_looking_ahead_loses_no_frames(tmp_path, frames):
    clip = make_clip(tmp_path / "gate.mp4", frames=7)
    arguments = ["clean", str(clip), "--model", VIDEO_MODEL, "--always", "--lookahead", frames]
    assert main(arguments) == 0
    assert count_frames(tmp_path / "gate.clean.mp4") == 7


def test_looking_ahead_needs_a_network_that_does(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mp4", frames=3)
    assert main(["clean", str(clip), "--model", "null", "--lookahead", "2"]) == 2
    assert "--lookahead goes with a video network, such as video-m" in capsys.readouterr().err
    assert left_in(tmp_path) == ["gate.mp4"]
    assert main(["clean", str(clip), "--model", "null", "--lookahead", "5"]) == 2


def test_pictures_have_no_past_even_with_a_video_network(tmp_path):
    rng = np.random.default_rng(1)
    for folder, count in (("one", 1), ("many", 6)):
        (tmp_path / folder).mkdir()
        for index in range(count):
            pixels = np.clip(90 + rng.normal(0, 8, (40, 56, 3)), 0, 255).astype(np.uint8)
            pixels[:, 10 + 2 * index : 12 + 2 * index] = 220
            if index == 0 and folder == "many":
                pixels, _ = read_picture(tmp_path / "one" / "0.png")
            write_picture(tmp_path / folder / f"{count - 1 - index}.png", pixels)
        arguments = ["clean", str(tmp_path / folder), "-o", str(tmp_path / f"{folder}.out")]
        assert main([*arguments, "--model", VIDEO_MODEL, "--backend", "onnx"]) == 0
    alone, _ = read_picture(tmp_path / "one.out" / "0.png")
    last, _ = read_picture(tmp_path / "many.out" / "5.png")
    assert np.array_equal(alone, last)
