"""``tools.synthesize``: pairs of pictures, and a rainy video with its truth."""

import json

import av
import numpy as np
import pytest

from streamderain.metrics import luma, psnr
from streamderain.readers.pictures import read_picture
from streamderain.writers.pictures import write_picture
from tests.clips import frame_times, make_clip, packets, picture, read_all
from tools.evaluate import main as evaluate
from tools.synthesize import main


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "street.mp4", height=96, width=160, audio_tracks=1)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def pixels(path):
    return [frame.pixels for frame in read_all(path)[0]]


def test_a_rainy_video_keeps_frames_times_and_sound_and_has_its_truth_beside_it(clip, tmp_path):
    out = tmp_path / "rain"
    assert main(["video", str(clip), "-o", str(out), "--preset", "heavy"]) == 0
    assert names(out) == ["clean.mp4", "rain.json", "rainy.mp4"]
    for name in ("clean.mp4", "rainy.mp4"):
        assert frame_times(out / name) == frame_times(clip)
        assert packets(out / name, "audio") == packets(clip, "audio")
    for source, clean, rainy in zip(
        pixels(clip), pixels(out / "clean.mp4"), pixels(out / "rainy.mp4"), strict=True
    ):
        assert psnr(luma(clean), luma(source)) > 40
        assert psnr(luma(rainy), luma(source)) < 30
        assert rainy.mean() > clean.mean()


def test_a_dry_video_has_only_the_compression(clip, tmp_path):
    out = tmp_path / "dry"
    assert main(["video", str(clip), "-o", str(out), "--dry", "--bitrate", "4M"]) == 0
    assert json.loads((out / "rain.json").read_text())["look"] is None
    for clean, dry in zip(pixels(out / "clean.mp4"), pixels(out / "rainy.mp4"), strict=True):
        assert psnr(luma(dry), luma(clean)) > 32


def test_the_bit_rate_is_that_of_the_camera(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=75, height=240, width=320)
    sizes = []
    for rate in ("300k", "2M"):
        out = tmp_path / rate
        assert main(["video", str(clip), "-o", str(out), "--bitrate", rate]) == 0
        sizes.append((out / "rainy.mp4").stat().st_size * 8 / 3)
    assert sizes[0] < 450_000
    assert 2 * sizes[0] < sizes[1] < 2_600_000


def key_frame_times(path):
    with av.open(str(path)) as container:
        return [float(p.pts * p.time_base) for p in container.demux(video=0) if p.is_keyframe]


def test_key_frames_are_two_seconds_apart_at_any_rate(tmp_path):
    every_eighty_ms = [1024 * index for index in range(60)]
    clip = make_clip(tmp_path / "a.mp4", frames=60, pts=every_eighty_ms)
    assert main(["video", str(clip), "-o", str(tmp_path / "o")]) == 0
    times = key_frame_times(tmp_path / "o" / "rainy.mp4")
    assert np.diff(times) == pytest.approx([2, 2], abs=0.1)


def test_the_camera_halves_chroma_and_the_truth_keeps_it(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", pixel_format="yuv444p")
    out = tmp_path / "o"
    assert main(["video", str(clip), "-o", str(out)]) == 0
    with av.open(str(out / "rainy.mp4")) as rainy, av.open(str(out / "clean.mp4")) as clean:
        assert rainy.streams.video[0].pix_fmt == "yuv420p"
        assert clean.streams.video[0].pix_fmt == "yuv444p"


def test_only_a_piece_is_made_when_asked(clip, tmp_path):
    out = tmp_path / "piece"
    assert main(["video", str(clip), "-o", str(out), "--seconds", "0.2"]) == 0
    assert len(frame_times(out / "rainy.mp4")) == len(frame_times(out / "clean.mp4")) == 5


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, name in enumerate(("a.jpg", "b.png")):
        write_picture(folder / name, picture(70, 90 + index, 5 * index))
    return folder


def test_pictures_become_pairs_that_the_evaluation_takes(photos, tmp_path, capsys):
    out = tmp_path / "pairs"
    assert main(["picture", str(photos), "-o", str(out)]) == 0
    assert names(out) == ["clean/a.png", "clean/b.png", "rain.json", "rainy/a.png", "rainy/b.png"]
    source, _ = read_picture(photos / "a.jpg")
    clean, _ = read_picture(out / "clean" / "a.png")
    assert np.array_equal(clean, source)
    assert evaluate(["null", "--pairs", str(out / "rainy"), str(out / "clean")]) == 0
    assert "| null |" in capsys.readouterr().out


def test_the_seed_decides_and_every_picture_has_rain_of_its_own(photos, tmp_path):
    same = [tmp_path / "1", tmp_path / "2"]
    for out in same:
        assert main(["picture", str(photos / "b.png"), "-o", str(out), "--seed", "7"]) == 0
    first, again = (read_picture(out / "rainy" / "b.png")[0] for out in same)
    assert np.array_equal(first, again)
    other = tmp_path / "3"
    assert main(["picture", str(photos / "b.png"), "-o", str(other), "--seed", "8"]) == 0
    assert not np.array_equal(first, read_picture(other / "rainy" / "b.png")[0])


def test_what_was_asked_for_is_recorded(photos, tmp_path):
    out = tmp_path / "o"
    asked = ["--preset", "light", "--rate", "7", "--wind", "-0.4", "--exposure", "0.01"]
    assert main(["picture", str(photos), "-o", str(out), *asked, "--jpeg", "60"]) == 0
    made = json.loads((out / "rain.json").read_text())
    assert made["inputs"] == ["a.jpg", "b.png"]
    assert made["jpeg"] == 60
    look = made["look"]
    assert (look["rate_mm_h"], look["wind"], look["exposure_s"]) == (7, -0.4, 0.01)


def test_a_lower_jpeg_quality_leaves_more_of_its_own_marks(photos, tmp_path):
    found = []
    for quality in ("95", "10"):
        out = tmp_path / quality
        arguments = ["picture", str(photos / "b.png"), "-o", str(out), "--jpeg", quality]
        assert main([*arguments, "--rate", "0"]) == 0
        clean, _ = read_picture(out / "clean" / "b.png")
        found.append(psnr(luma(read_picture(out / "rainy" / "b.png")[0]), luma(clean)))
    assert found[0] > found[1] + 2


def refused(arguments, capsys):
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: ")
    return code, said[0]


def test_nothing_is_overwritten_unless_told(clip, tmp_path, capsys):
    out = tmp_path / "rain"
    out.mkdir()
    (out / "rainy.mp4").write_bytes(b"precious")
    code, said = refused(["video", clip, "-o", out], capsys)
    assert (code, "already exists" in said) == (1, True)
    assert names(out) == ["rainy.mp4"]
    assert (out / "rainy.mp4").read_bytes() == b"precious"
    assert main(["video", str(clip), "-o", str(out), "--overwrite"]) == 0
    assert len(frame_times(out / "rainy.mp4")) == 12


def test_where_one_picture_is_there_none_is_written(photos, tmp_path, capsys):
    out = tmp_path / "pairs"
    (out / "rainy").mkdir(parents=True)
    (out / "rainy" / "b.png").write_bytes(b"precious")
    code, said = refused(["picture", photos, "-o", out], capsys)
    assert (code, "already exists" in said) == (1, True)
    assert names(out) == ["rainy/b.png"]


def test_a_picture_to_rain_on_is_never_written_to(tmp_path, capsys):
    source = tmp_path / "clean" / "a.png"
    source.parent.mkdir()
    write_picture(source, picture(40, 50))
    before = source.read_bytes()
    code, said = refused(["picture", source, "-o", tmp_path, "--overwrite"], capsys)
    assert (code, "never written to" in said) == (1, True)
    assert names(tmp_path) == ["clean/a.png"]
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["video", "none.mp4"], 1, "does not exist"),
        (["video", "text.mp4"], 1, "is not a video"),
        (["picture", "text.mp4"], 1, "is not a picture"),
        (["picture", "empty"], 1, "holds no pictures"),
        (["picture", "a.png", "b/a.png"], 2, "several pictures would become a.png"),
        (["picture", "a.png", "--rate", "-3"], 2, "rain rate"),
        (["picture", "a.png", "--exposure", "9"], 2, "exposure"),
        (["picture", "a.png", "--jpeg", "0"], 2, "between 1 and 100"),
        (["picture", "a.png", "--seed", "-1"], 2, "seed"),
        (["video", "text.mp4", "--bitrate", "fast"], 2, "bit rate"),
        (["video", "text.mp4", "--seconds", "0"], 2, "above 0"),
        (["video", "text.mp4", "--seconds", "nan"], 2, "above 0"),
        (["video", "text.mp4", "--seconds", "inf"], 2, "above 0"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(
    arguments, code, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("this is no video")
    (tmp_path / "empty").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("a.png", "b/a.png"):
        write_picture(tmp_path / name, picture(20, 30))
    found, said = refused([*arguments, "-o", "out"], capsys)
    assert (found, words in said) == (code, True), said
    assert not (tmp_path / "out").exists()


def test_a_truncated_video_is_used_as_far_as_it_goes_and_called_by_its_name(tmp_path, capsys):
    clip = make_clip(tmp_path / "a.mkv", frames=60, options={"g": "10"})
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    assert main(["video", str(clip), "-o", str(tmp_path / "out")]) == 1
    assert "is truncated" in capsys.readouterr().err
    assert 10 < len(frame_times(tmp_path / "out" / "rainy.mp4")) < 60


@pytest.mark.parametrize("motion", ["fixed", "pan"])
def test_a_still_becomes_a_clip_in_which_things_move(motion, tmp_path):
    for name in ("scene", "thing"):
        write_picture(tmp_path / f"{name}.png", picture(151, 203, len(name)) // 2 + 40)
    out = tmp_path / "clip"
    sources = [str(tmp_path / "scene.png"), str(tmp_path / "thing.png")]
    arguments = ["clip", *sources, "-o", str(out), "--motion", motion, "--seconds", "0.5"]
    assert main([*arguments, "--rate", "20"]) == 0
    assert names(out) == ["clean.mp4", "rain.json", "rainy.mp4"]
    clean, rainy = pixels(out / "clean.mp4"), pixels(out / "rainy.mp4")
    assert len(clean) == len(rainy) == 12
    assert clean[0].shape == (120, 162, 3)
    assert np.abs(clean[0].astype(int) - clean[-1]).mean() > 0.5
    assert psnr(luma(rainy[5]), luma(clean[5])) < 35
    assert json.loads((out / "rain.json").read_text())["motion"] == motion
    assert main(arguments) == 1  # nothing is replaced unasked


def test_a_still_that_is_too_small_and_a_wrong_count_are_sentences(tmp_path, capsys):
    write_picture(tmp_path / "a.png", picture(12, 12))
    arguments = ["clip", str(tmp_path / "a.png"), "-o", str(tmp_path / "out")]
    assert main(arguments) == 1
    assert "too small" in capsys.readouterr().err
    assert main([*arguments, "--movers", "-1"]) == 2
    assert not (tmp_path / "out").exists()
