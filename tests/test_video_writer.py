"""The file writer gives the same video back: frames, times, colours; whole or not at all."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamderain.errors import OutputError, UsageError
from streamderain.frame import Frame, SourceFormat
from streamderain.readers.video import VideoFileReader
from streamderain.writers.encoders import (
    choose_container,
    choose_pixel_format,
    finer_chroma_note,
)
from streamderain.writers.video import VideoFileWriter
from tests.clips import frame_times, make_clip, null_copy, picture, read_all

B_FRAMES = {"bf": "3", "b_strategy": "0", "preset": "medium"}


def frame_of(index, height=48, width=64, pts=None):
    return Frame("cam", 0, index, pts, Fraction(1, 25), picture(height, width, index))


def read_times(path):
    frames, _ = read_all(path)
    return [frame.pts * frame.time_base for frame in frames]


def stream_of(path):
    container = av.open(str(path))
    return container, container.streams.video[0]


@pytest.mark.parametrize("preset", ["ultrafast", "medium"], ids=["no B-frames", "B-frames"])
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "ts"])
def test_frames_and_times_are_those_of_the_source(tmp_path, ending, preset):
    source = make_clip(tmp_path / f"a.{ending}", frames=30, options=B_FRAMES, audio_tracks=1)
    copied = null_copy(source, tmp_path / f"b.{ending}", preset=preset)
    assert copied.frames == 30
    assert copied.notes == copied.problems == []
    assert frame_times(tmp_path / f"b.{ending}") == frame_times(source)


@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_the_time_base_is_the_source_s_to_the_tick(tmp_path, ending):
    source = make_clip(tmp_path / f"a.{ending}", frames=5, time_base=Fraction(1, 90000))
    null_copy(source, tmp_path / f"b.{ending}")
    with av.open(str(tmp_path / f"b.{ending}")) as container:
        assert container.streams.video[0].time_base == Fraction(1, 90000)
        assert [frame.pts for frame in container.decode(video=0)] == [
            3600 * index for index in range(5)
        ]


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_variable_rate_and_a_late_start_are_kept(tmp_path, ending):
    milliseconds = [4711, 4720, 4800, 5400, 5401, 9000, 9040]
    pts = [12800 * value // 1000 for value in milliseconds]
    source = make_clip(tmp_path / f"a.{ending}", frames=7, pts=pts, options=B_FRAMES)
    null_copy(source, tmp_path / f"b.{ending}", preset="medium")
    assert frame_times(tmp_path / f"b.{ending}") == frame_times(source)


def test_the_length_is_that_of_the_source(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=20, options=B_FRAMES)
    null_copy(source, tmp_path / "b.mp4", preset="medium")
    (one, before), (two, after) = stream_of(source), stream_of(tmp_path / "b.mp4")
    with one, two:
        assert after.duration == before.duration
        assert after.frames == before.frames == 20
        assert after.average_rate == before.average_rate == 25


def test_times_that_matroska_rounds_are_noted_once(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=5, pts=[0, 1, 500, 1000, 1500])
    notes = null_copy(source, tmp_path / "b.mkv").notes
    assert [note for note in notes if "milliseconds" in note] == notes
    assert len(notes) == 1


@pytest.mark.parametrize(("ending", "late"), [("mkv", "21"), ("ts", "80")])
def test_a_container_that_cannot_begin_before_zero_says_how_much_later_it_is(
    tmp_path, ending, late
):
    source = make_clip(tmp_path / "a.mp4", frames=20, options=B_FRAMES, audio_tracks=1)
    notes = null_copy(source, tmp_path / f"b.{ending}", preset="medium").notes
    assert [note for note in notes if f"{late} ms later" in note] == notes
    assert len(notes) == 1
    steps = {
        b - a
        for a, b in zip(frame_times(source), frame_times(tmp_path / f"b.{ending}"), strict=True)
    }
    assert steps == {Fraction(int(late), 1000)}


def test_avi_has_a_constant_rate_and_says_so(tmp_path):
    even = make_clip(tmp_path / "even.mp4", frames=10, audio_tracks=1)
    assert null_copy(even, tmp_path / "even.avi").notes == []
    assert read_times(tmp_path / "even.avi") == frame_times(even)
    uneven = make_clip(tmp_path / "uneven.mp4", frames=4, pts=[0, 300, 1024, 3000])
    assert "constant frame rate" in null_copy(uneven, tmp_path / "uneven.avi").notes[0]
    assert len(frame_times(tmp_path / "uneven.avi")) == 4


def test_a_turned_source_is_written_upright_without_a_tag(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=2, rotation=90, sar=Fraction(4, 3))
    null_copy(source, tmp_path / "b.mp4")
    frames, reader = read_all(tmp_path / "b.mp4")
    assert reader.format.rotation == 0
    assert frames[0].size == (64, 48)
    assert reader.format.sample_aspect_ratio == Fraction(3, 4)
    before = read_all(source)[0][0].pixels.astype(int)
    assert np.abs(before - frames[0].pixels).mean() < 3


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_sample_aspect_ratio_is_kept(tmp_path, ending):
    source = make_clip(tmp_path / f"a.{ending}", frames=1, sar=Fraction(16, 11))
    null_copy(source, tmp_path / f"b.{ending}")
    assert read_all(tmp_path / f"b.{ending}")[1].format.sample_aspect_ratio == Fraction(16, 11)


@pytest.mark.parametrize(
    ("encoder", "source", "size", "expected"),
    [
        ("libx264", "yuv420p", (48, 64), "yuv420p"),
        ("libx264", "yuvj420p", (48, 64), "yuv420p"),
        ("libx264", "yuv420p10le", (48, 64), "yuv420p"),
        ("libx264", "yuv422p10le", (48, 64), "yuv422p"),
        ("libx264", "yuv444p", (48, 64), "yuv444p"),
        ("libx264", "yuv411p", (48, 64), "yuv422p"),
        ("libx264", "gray", (48, 64), "gray"),
        ("libx264", "gbrp", (48, 64), "yuv444p"),
        ("libx264", "yuv420p", (359, 641), "yuv444p"),
        ("libx264", "yuv420p", (359, 640), "yuv422p"),
        ("libx265", "yuv420p", (359, 641), "yuv444p"),
        ("libsvtav1", "yuv420p", (359, 641), "yuv420p"),
        ("libsvtav1", "yuv444p", (48, 64), "yuv420p"),
        ("ffv1", "yuv420p", (359, 641), "yuv420p"),
        ("ffv1", "rgb24", (48, 64), "bgr0"),
        ("ffv1", "gray16le", (48, 64), "gray"),
    ],
)
def test_the_pixel_format_keeps_what_the_encoder_can(encoder, source, size, expected):
    assert choose_pixel_format(encoder, source, *size) == expected


def test_a_turned_422_picture_needs_full_chroma():
    assert choose_pixel_format("libx264", "yuv422p", 64, 48, turned=True) == "yuv444p"


H264_ODD = "H.264 holds the odd size 641×359 as 4:4:4"


@pytest.mark.parametrize(
    ("ending", "codec", "encoder", "source", "size", "told"),
    [
        ("mp4", "h264", "libx264", "yuv420p", (359, 641), H264_ODD),
        ("mp4", "hevc", "libx265", "yuv420p10le", (359, 641), "H.265 holds"),
        ("mp4", "h264", "libx264", "yuv420p", (359, 640), "as 4:2:2"),
        ("mp4", "h264", "libx264", "yuv422p", (359, 641), "--codec av1 writes it as 4:2:0"),
        ("avi", "h264", "libx264", "yuv420p", (359, 641), "an even size plays"),
        ("mp4", "h264", "libx264", "yuv420p", (48, 64), None),
        ("mp4", "h264", "libx264", "yuv444p", (359, 641), None),
        ("mp4", "h264", "libx264", "gray", (359, 641), None),
        ("mp4", "av1", "libsvtav1", "yuv420p", (359, 641), None),
        ("mp4", "av1", "libsvtav1", "yuv444p", (359, 641), None),
        ("mkv", "ffv1", "ffv1", "rgb24", (359, 641), None),
        ("mkv", "ffv1", "ffv1", "yuv420p", (359, 641), None),
    ],
)
def test_chroma_that_an_odd_size_makes_finer_is_told(ending, codec, encoder, source, size, told):
    container = choose_container(Path(f"a.{ending}"), codec)
    note = finer_chroma_note(container, codec, encoder, source, *size)
    assert note is None if told is None else told in note


def test_chroma_that_turning_makes_finer_is_not_laid_to_the_size():
    container = choose_container(Path("a.mp4"), "h264")
    for size in ((64, 48), (359, 641)):
        assert not finer_chroma_note(container, "h264", "libx264", "yuv422p", *size, turned=True)


@pytest.mark.parametrize(
    ("codec", "ending", "name"),
    [
        ("h264", "mp4", "h264"), ("hevc", "mp4", "hevc"), ("av1", "mp4", "av1"),
        ("av1", "webm", "av1"), ("ffv1", "mkv", "ffv1"), ("hevc", "mov", "hevc"),
    ],
)  # fmt: skip
def test_every_codec_is_written_at_an_odd_size_too(tmp_path, codec, ending, name):
    source = make_clip(tmp_path / "a.mkv", frames=3, height=65, width=97, encoder="ffv1")
    copied = null_copy(source, tmp_path / f"b.{ending}", codec=codec)
    frames, _ = read_all(tmp_path / f"b.{ending}")
    assert [frame.size for frame in frames] == [(65, 97)] * 3
    if codec in ("h264", "hevc"):
        assert len(copied.notes) == 1
        assert "97×65 as 4:4:4" in copied.notes[0]
    else:
        assert copied.notes == []
    container, stream = stream_of(tmp_path / f"b.{ending}")
    with container:
        assert stream.codec_context.codec.canonical_name == name
        if codec == "hevc":
            assert stream.codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize("pixel_format", ["gray", "yuv422p", "yuv444p", "yuv420p10le", "bgr0"])
def test_pictures_of_every_format_come_back(tmp_path, pixel_format):
    source = make_clip(tmp_path / "a.mkv", frames=2, encoder="ffv1", pixel_format=pixel_format)
    null_copy(source, tmp_path / "b.mp4", crf=1)
    before, after = read_all(source)[0][1].pixels, read_all(tmp_path / "b.mp4")[0][1].pixels
    assert np.abs(before.astype(int) - after).mean() < 2.5


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_clip_of_very_few_frames_is_written_at_its_times(tmp_path, codec, ending, frames):
    """libx265 makes up decoding times for two; which ones, is chance."""
    source = make_clip(tmp_path / f"a.{ending}", frames=frames, height=64)
    for attempt in range(3):
        target = tmp_path / f"{attempt}.{ending}"
        null_copy(source, target, codec=codec)
        assert frame_times(target) == frame_times(source)


def test_lossless_rgb_comes_back_bit_for_bit(tmp_path):
    source = make_clip(tmp_path / "a.mkv", frames=2, encoder="ffv1", pixel_format="bgr0")
    null_copy(source, tmp_path / "b.mkv", codec="ffv1")
    assert np.array_equal(read_all(source)[0][1].pixels, read_all(tmp_path / "b.mkv")[0][1].pixels)


def test_an_mp4_has_its_index_first(tmp_path):
    null_copy(make_clip(tmp_path / "a.mkv", frames=5), tmp_path / "b.mp4")
    data = (tmp_path / "b.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_frames_of_another_size_are_scaled_and_it_is_said_once(tmp_path):
    source = SourceFormat(48, 64, Fraction(25), Fraction(1, 25))
    writer = VideoFileWriter(tmp_path / "b.mp4", source)
    writer.write(frame_of(0, pts=0))
    writer.write(frame_of(1, height=96, width=128, pts=1))
    writer.write(frame_of(2, height=24, width=32, pts=2))
    writer.finish()
    assert [frame.size for frame in read_all(tmp_path / "b.mp4")[0]] == [(48, 64)] * 3
    assert len([note for note in writer.notes if "resolution" in note]) == 1


def test_frames_without_times_follow_the_rate(tmp_path):
    writer = VideoFileWriter(
        tmp_path / "b.mp4", SourceFormat(48, 64, Fraction(10), Fraction(1, 10))
    )
    for index in range(4):
        writer.write(frame_of(index))
    writer.finish()
    assert frame_times(tmp_path / "b.mp4") == [Fraction(index, 10) for index in range(4)]


def test_the_encoder_is_a_software_one_unless_a_gpu_has_one_that_works(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=2)
    assert null_copy(source, tmp_path / "b.mp4").encoder == "libx264"
    assert null_copy(source, tmp_path / "c.mp4", device="cuda").encoder in ("libx264", "h264_nvenc")
    assert len(frame_times(tmp_path / "c.mp4")) == 2


@pytest.mark.parametrize("before", [None, "4"])
def test_what_keeps_svt_av1_quiet_is_not_taken_from_other_threads(tmp_path, monkeypatch, before):
    # Videos are begun by several threads at once: what one of them removed, another would miss.
    monkeypatch.setenv("SVT_LOG", before or "")
    if before is None:
        monkeypatch.delenv("SVT_LOG")
    VideoFileWriter(tmp_path / "b.mp4", SourceFormat(48, 64, Fraction(25))).abandon()
    assert os.environ["SVT_LOG"] == (before or "1")


def test_an_unknown_ending_is_refused_with_a_list(tmp_path):
    with pytest.raises(UsageError, match=r"\.mp4.*\.mkv"):
        VideoFileWriter(tmp_path / "b.xyz", SourceFormat(48, 64))


def test_a_container_without_the_codec_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(UsageError, match=r"WebM holds av1, not h264; choose the codec av1"):
        VideoFileWriter(tmp_path / "b.webm", SourceFormat(48, 64))


def test_a_preset_that_the_encoder_lacks_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UsageError, match="preset 'warp'"):
        VideoFileWriter(tmp_path / "b.mp4", SourceFormat(48, 64, Fraction(25)), preset="warp")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target_is_kept_without_overwrite(tmp_path):
    source = make_clip(tmp_path / "a.mp4", frames=2)
    (tmp_path / "b.mp4").write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        null_copy(source, tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_text() == "mine"
    null_copy(source, tmp_path / "b.mp4", overwrite=True)
    assert len(frame_times(tmp_path / "b.mp4")) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_a_target_that_appears_meanwhile_is_kept_too(tmp_path):
    writer = VideoFileWriter(
        tmp_path / "b.mp4", SourceFormat(48, 64, Fraction(25), Fraction(1, 25))
    )
    writer.write(frame_of(0, pts=0))
    (tmp_path / "b.mp4").write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        writer.finish()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink"])
def test_the_source_is_never_written_to(tmp_path, link):
    source = make_clip(tmp_path / "a.mp4", frames=2)
    before = source.read_bytes()
    target = source if link == "same" else tmp_path / "b.mp4"
    if link == "symlink":
        target.symlink_to(source)
    elif link == "hardlink":
        os.link(source, target)
    with pytest.raises(OutputError, match="same file as the source"):
        null_copy(source, target, overwrite=True)
    assert source.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if ".part-" in path.name]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"gone does not exist"):
        VideoFileWriter(tmp_path / "gone" / "b.mp4", SourceFormat(48, 64))


def test_a_folder_that_may_not_be_written_is_named(tmp_path):
    if os.geteuid() == 0:
        folder = Path("/proc")  # closed to root as well
    else:
        folder = tmp_path
        folder.chmod(0o500)
    with pytest.raises(OutputError, match=r"no permission|does not exist|read-only"):
        VideoFileWriter(folder / "b.mp4", SourceFormat(48, 64))


def test_until_it_is_finished_there_is_only_a_hidden_file_that_says_whose_it_is(tmp_path):
    writer = VideoFileWriter(
        tmp_path / "b.mp4", SourceFormat(48, 64, Fraction(25), Fraction(1, 25))
    )
    writer.write(frame_of(0, pts=0))
    assert [path.name for path in tmp_path.iterdir()] == [f".b.mp4.part-{os.getpid()}"]
    writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]


def test_abandoning_leaves_nothing_and_is_harmless_twice_and_after_the_end(tmp_path):
    source = SourceFormat(48, 64, Fraction(25), Fraction(1, 25))
    writer = VideoFileWriter(tmp_path / "b.mp4", source)
    writer.write(frame_of(0, pts=0))
    writer.abandon()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="finished or abandoned"):
        writer.write(frame_of(1, pts=1))
    whole = VideoFileWriter(tmp_path / "b.mp4", source)
    whole.write(frame_of(0, pts=0))
    whole.finish()
    whole.abandon()
    assert len(frame_times(tmp_path / "b.mp4")) == 1


def noise(index, rng):
    pixels = rng.integers(0, 256, (240, 320, 3), np.uint8)
    return Frame("cam", 0, index, index, Fraction(1, 25), pixels)


@pytest.mark.parametrize("frames", [40, 2], ids=["while writing", "at the end"])
def test_a_full_disk_is_an_error_and_nothing_stays(small_disk, frames):
    rng = np.random.default_rng(1)
    source = SourceFormat(240, 320, Fraction(25), Fraction(1, 25))
    (small_disk / "ballast").write_bytes(bytes(160_000 if frames == 2 else 1))
    writer = VideoFileWriter(small_disk / "b.mkv", source, codec="ffv1")
    with pytest.raises(OutputError, match="no room left"):
        for index in range(frames):
            writer.write(noise(index, rng))
        writer.finish()
    writer.abandon()
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_the_reader_and_the_writer_close_what_they_open(tmp_path):
    source = make_clip(tmp_path / "a.mkv", frames=3, audio_tracks=1)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for attempt in range(3):
        null_copy(source, tmp_path / f"{attempt}.mkv")
        with VideoFileReader(source):
            pass
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
