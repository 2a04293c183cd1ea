"""``streamderain clean`` as people run it."""

import json
import sys

import av
import cv2
import numpy as np
import pytest

from streamderain.cli import main
from streamderain.readers.pictures import read_picture
from streamderain.writers.pictures import write_picture
from tests.clips import read_all


def make_clip(path, frames=12, width=64, height=48, codec="libx264"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            picture = np.full((height, width, 3), 40, np.uint8)
            picture[:, index * 2 : index * 2 + 8] = 200
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def count_frames(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_video_comes_out_beside_itself_with_as_many_frames(tmp_path):
    clip = make_clip(tmp_path / "gate.mp4")
    assert main(["clean", str(clip), "--model", "null"]) == 0
    assert count_frames(tmp_path / "gate.clean.mp4") == 12
    assert left_in(tmp_path) == ["gate.clean.mp4", "gate.mp4"]


def test_the_report_conserves_frames_and_names_the_model(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mp4")
    assert main(["clean", str(clip), "--model", "null", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    job = report["jobs"][0]
    assert [model["name"] for model in report["models"]] == [job["model"]] == ["null"]
    assert 0 <= job["rain"] <= 1
    assert report["exit_code"] == 0
    assert job["frames_in"] == job["frames_out"] == 12
    assert job["derained"] + sum(job["bypassed"].values()) == 12
    assert job["encoder"] == "libx264"
    assert job["colour"]["assumed"]
    assert set(job["stages"]) == {"decode", "look", "infer", "encode"}


def test_an_existing_target_is_kept_unless_told_otherwise(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mp4")
    target = tmp_path / "gate.clean.mp4"
    target.write_bytes(b"precious")
    assert main(["clean", str(clip), "--model", "null"]) == 1
    assert target.read_bytes() == b"precious"
    assert "already exists" in capsys.readouterr().err
    assert main(["clean", str(clip), "--model", "null", "--overwrite"]) == 0
    assert count_frames(target) == 12


def test_one_bad_input_does_not_stop_the_rest(tmp_path, capsys):
    clip = make_clip(tmp_path / "good.mp4")
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is no video")
    names = [str(tmp_path / "none.mp4"), str(bad), str(clip)]
    assert main(["clean", *names, "--model", "null", "-o", f"{tmp_path}/out/"]) == 1
    assert left_in(tmp_path / "out") == ["good.mp4"]
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 2
    assert "none.mp4" in errors[0]
    assert "bad.mp4" in errors[1]


def test_a_folder_that_was_made_for_nothing_is_taken_back(tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is no video")
    assert main(["clean", str(bad), "--model", "null", "-o", f"{tmp_path}/a/b/"]) == 1
    assert left_in(tmp_path) == ["bad.mp4"]


def test_a_folder_of_pictures_keeps_names_and_sizes(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, width in enumerate((20, 20, 31)):
        write_picture(folder / f"{index}.png", np.full((15, width, 3), index * 50, np.uint8))
    assert main(["clean", str(folder), "--model", "null", "-o", str(tmp_path / "out")]) == 0
    assert left_in(tmp_path / "out") == ["0.png", "1.png", "2.png"]
    pixels, _ = read_picture(tmp_path / "out/2.png")
    assert pixels.shape == (15, 31, 3)


def test_a_sample_is_a_piece_from_the_start_and_says_so(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mp4", frames=50)
    assert main(["clean", str(clip), "--model", "null", "--sample", "1s", "--json"]) == 0
    said = capsys.readouterr()
    assert count_frames(tmp_path / "gate.sample.mp4") == 25
    assert json.loads(said.out)["jobs"][0]["sample_s"] == 1.0
    assert "gate.sample.mp4: 25 frames of a sample of 1 s" in said.err


def test_a_sample_does_not_stand_in_the_way_of_the_whole(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mp4", frames=50)
    for options in ([], ["--compare"]):
        for piece in (["--sample", "1s"], []):
            assert main(["clean", str(clip), "--model", "null", *options, *piece]) == 0
    assert left_in(tmp_path) == [
        "gate.clean.mp4", "gate.compare.mp4", "gate.mp4", "gate.sample.compare.mp4",
        "gate.sample.mp4",
    ]  # fmt: skip
    assert count_frames(tmp_path / "gate.clean.mp4") == 50
    capsys.readouterr()
    assert main(["clean", str(clip), "--model", "null", "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["jobs"][0]["sample_s"] is None


def test_a_sample_that_is_longer_than_the_video_is_all_of_it(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mp4", frames=1)
    assert main(["clean", str(clip), "--model", "null", "--sample", "1h"]) == 0
    assert count_frames(tmp_path / "gate.sample.mp4") == 1
    assert "note: The source is not longer than the sample" in capsys.readouterr().err


def test_a_sample_of_a_truncated_video_notes_it_and_is_no_failure(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mkv", frames=100)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 6 // 10])
    assert main(["clean", str(clip), "--model", "null", "--sample", "200ms"]) == 0
    said = capsys.readouterr().err
    assert "note: The source is truncated, though only after the sample" in said
    assert "error" not in said
    assert count_frames(tmp_path / "gate.sample.mkv") == 5


def test_a_truncated_video_gives_what_can_be_read_and_exit_code_1(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mkv", frames=100)
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 6 // 10])
    assert main(["clean", str(clip), "--model", "null", "--json"]) == 1
    captured = capsys.readouterr()
    job = json.loads(captured.out)["jobs"][0]
    assert 10 <= job["frames_out"] < 100
    assert count_frames(tmp_path / "gate.clean.mkv") == job["frames_out"]
    assert captured.err.count("is truncated") == 1
    assert clip.read_bytes() == whole[: len(whole) * 6 // 10]


def test_a_comparison_has_its_own_name_and_both_halves(tmp_path):
    clip = make_clip(tmp_path / "gate.mp4", frames=3, width=320, height=180)
    assert main(["clean", str(clip), "--compare"]) == 0
    assert left_in(tmp_path) == ["gate.compare.mp4", "gate.mp4"]
    with av.open(str(tmp_path / "gate.compare.mp4")) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert picture.shape == (180, 320, 3)
    divider = picture[60:, 158:162].max(axis=(1, 2))  # the picture around it is dark
    assert (divider > 150).all()


def test_a_folder_without_videos_and_pictures_is_one_sentence(tmp_path, capsys):
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "notes.txt").write_text("no video")
    assert main(["clean", str(folder), "--model", "null", "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert str(folder) in said[0]
    assert left_in(tmp_path) == ["empty"]


@pytest.mark.parametrize("size", [(640, 359), (641, 359), (1, 1), (7, 300)])
def test_every_size_goes_through_the_network(tmp_path, size):
    picture = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    write_picture(tmp_path / "a.png", picture)
    assert main(["clean", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]) == 0
    assert read_picture(tmp_path / "b.png")[0].shape == picture.shape


@pytest.mark.parametrize("codec", ["hevc", "av1", "ffv1"])
def test_every_codec_that_is_offered_works(tmp_path, codec):
    clip = make_clip(tmp_path / "gate.mp4", frames=5)
    target = tmp_path / "out.mkv"
    assert main(["clean", str(clip), "--model", "null", "--codec", codec, "-o", str(target)]) == 0
    assert count_frames(target) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["clean"],
        ["clean", "a.mp4", "--codec", "vp8"],
        ["clean", "a.mp4", "--sample", "soon"],
        ["clean", "a.mp4", "--size", "640x360"],
        ["clean", "-"],
        ["clean", "-", "--size", "640", "--fps", "25"],
        ["clean", "a.mp4", "--no-such-option"],
        ["no-such-command"],
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "a.mp4", frames=1)
    extra = ["--model", "null"] if arguments[0] == "clean" and len(arguments) > 1 else []
    assert main([*arguments, *extra]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[0].startswith("error: ")
    assert "Traceback" not in "".join(said)
    assert left_in(tmp_path) == ["a.mp4"]


def test_an_unknown_model_names_those_there_are(tmp_path, capsys):
    clip = make_clip(tmp_path / "a.mp4", frames=1)
    assert main(["clean", str(clip), "--model", "nonesuch"]) == 2
    assert "attention-m" in capsys.readouterr().err


def test_dry_frames_pass_bit_for_bit_unless_all_are_wanted(tmp_path, capsys):
    clip = make_clip(tmp_path / "a.mp4", frames=6, height=120, width=160)
    arguments = ["clean", str(clip), "--codec", "ffv1", "--model", "attention-s"]
    assert main([*arguments, "-o", str(tmp_path / "b.mkv"), "--json"]) == 0
    said = capsys.readouterr()
    (job,) = json.loads(said.out)["jobs"]
    assert (job["derained"], job["bypassed"]) == (0, {"dry": 6})
    assert "6 frames, 0 derained, 6 dry, " in said.err
    assert f"note: no rain was found in {clip}; " in said.err
    for before, after in zip(read_all(clip)[0], read_all(tmp_path / "b.mkv")[0], strict=True):
        difference = np.abs(before.pixels.astype(int) - after.pixels)
        assert difference.max() <= 2  # of the conversion to and from YCbCr
    assert main([*arguments, "-o", str(tmp_path / "c.mkv"), "--always"]) == 0
    said = capsys.readouterr().err
    assert "6 frames, 6 derained, " in said
    assert "no rain" not in said


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--crf", "52"], "--crf is 0 (best) to 51 (worst) for h264, not 52; the default is 18"),
        (["--crf", "-1"], "not -1"),
        (["--preset", "warp"], "knows no preset 'warp'; there are ultrafast,"),
        (["--codec", "av1", "--crf", "64"], "to 63 (worst) for av1"),
    ],
)
def test_an_encoder_is_not_asked_for_what_it_cannot_do(tmp_path, capfd, option, said):
    clip = make_clip(tmp_path / "a.mp4", frames=2)
    target = tmp_path / "b.mp4"
    target.write_bytes(b"a good one")
    arguments = ["clean", str(clip), "-o", str(target), "--model", "null", "--overwrite"]
    assert main([*arguments, *option]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert "x264" not in err.replace("libx264", "")
    assert target.read_bytes() == b"a good one"


def test_a_piece_of_pictures_is_refused_before_anything_is_done(tmp_path, capsys):
    folder = tmp_path / "mixed"
    folder.mkdir()
    make_clip(folder / "a.mp4", frames=2)
    assert cv2.imwrite(str(folder / "b.png"), np.zeros((16, 16, 3), np.uint8))
    assert main(["clean", str(folder), "--sample", "1s", "--model", "null"]) == 2
    assert f"{folder / 'b.png'} is a picture" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mixed"]


def test_raw_frames_do_not_go_to_a_terminal(tmp_path, capsys, monkeypatch):
    clip = make_clip(tmp_path / "a.mp4", frames=2)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["clean", str(clip), "-o", "-", "--model", "null"]) == 2
    assert "would go to this terminal" in capsys.readouterr().err


def test_an_unknown_input_has_its_name_in_the_report(tmp_path, capsys):
    missing = str(tmp_path / "none.mp4")
    assert main(["clean", missing, "--model", "null", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["jobs"][0]["input"] == missing


def test_wrong_usage_points_at_the_help_of_its_command(capsys):
    assert main(["clean"]) == 2
    assert "Try 'streamderain clean --help'." in capsys.readouterr().err
    assert main([]) == 2
    said = capsys.readouterr()
    assert "error:" not in said.err
    assert "Usage:" in said.out + said.err
