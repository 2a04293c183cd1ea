"""The file reader gives every frame, at its time, upright, and survives damage."""

from __future__ import annotations

import os
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamderain.errors import InputError
from streamderain.readers.video import VideoFileReader
from tests.clips import frame_times, make_clip, picture, read_all


def times(frames):
    return [frame.pts * frame.time_base for frame in frames]


@pytest.mark.parametrize(
    "options",
    [{"bf": "0"}, {"bf": "3", "b_strategy": "0", "preset": "medium"}],
    ids=["no B-frames", "B-frames"],
)
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_every_frame_comes_at_its_time(tmp_path, ending, options):
    clip = make_clip(tmp_path / f"a.{ending}", frames=30, options=options)
    frames, reader = read_all(clip)
    assert len(frames) == 30
    assert times(frames) == frame_times(clip)
    assert [frame.index for frame in frames] == list(range(30))
    assert {frame.session for frame in frames} == {0}
    assert reader.problems == []
    assert reader.corrupt_frames == 0


def test_a_variable_frame_rate_is_kept(tmp_path):
    pts = [0, 512, 700, 5000, 5001, 20000]
    frames, _ = read_all(make_clip(tmp_path / "a.mp4", frames=6, pts=pts))
    assert [frame.pts for frame in frames] == pts
    assert frames[0].time_base == Fraction(1, 12800)


def test_a_recording_that_starts_late_keeps_its_start(tmp_path):
    pts = [128000 + 512 * index for index in range(5)]
    frames, _ = read_all(make_clip(tmp_path / "a.mp4", frames=5, pts=pts))
    assert times(frames)[0] == 10


def test_a_raw_stream_without_times_gets_them_from_its_rate(tmp_path):
    clip = make_clip(tmp_path / "a.h264", frames=10, container="h264")
    frames, reader = read_all(clip)
    steps = np.diff([float(time) for time in times(frames)])
    assert len(frames) == 10
    assert np.allclose(steps, 1 / float(reader.format.frame_rate))


def test_pixels_are_full_range_rgb(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", encoder="ffv1", pixel_format="yuv444p", frames=2)
    frames, _ = read_all(clip)
    assert frames[1].pixels.dtype == np.uint8
    assert frames[1].pixels.flags["C_CONTIGUOUS"]
    assert np.abs(frames[1].pixels.astype(int) - picture(48, 64, 1)).mean() < 1


def test_the_format_is_known_before_the_first_frame(tmp_path):
    clip = make_clip(tmp_path / "my clip.mp4", frames=25, sar=Fraction(4, 3))
    with VideoFileReader(clip) as reader:
        form = reader.format
    assert (form.height, form.width) == (48, 64)
    assert (form.frame_rate, form.time_base) == (25, Fraction(1, 12800))
    assert (form.frames, form.duration_s) == (25, 1.0)
    assert form.sample_aspect_ratio == Fraction(4, 3)
    assert form.pixel_format == "yuv420p"
    assert form.notes == ()
    assert reader.name == str(clip)


def test_the_camera_id_comes_from_the_name_and_is_a_legal_one(tmp_path):
    frames, _ = read_all(make_clip(tmp_path / "my clip #1.mp4", frames=1))
    assert frames[0].camera == "my_clip__1"
    frames, _ = read_all(tmp_path / "my clip #1.mp4", camera="gate")
    assert frames[0].camera == "gate"


def test_a_sample_ends_after_its_duration(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=50)
    frames, reader = read_all(clip, duration=0.5)
    assert len(frames) == 13  # 0.00, 0.04, ... 0.48
    assert reader.problems == []


def test_a_sample_may_start_later(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=50, options={"g": "10"})
    frames, reader = read_all(clip, start=1.0, duration=0.2)
    assert times(frames) == [1 + Fraction(index, 25) for index in range(5)]
    assert reader.problems == []


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_turned_picture_comes_upright(tmp_path, degrees):
    plain = make_clip(tmp_path / "a.mp4", frames=1, options={"qp": "0"}, sar=Fraction(4, 3))
    turned = make_clip(
        tmp_path / "b.mp4", frames=1, options={"qp": "0"}, rotation=degrees, sar=Fraction(4, 3)
    )
    expected = np.rot90(read_all(plain)[0][0].pixels, degrees // 90)
    frames, reader = read_all(turned)
    assert np.array_equal(frames[0].pixels, expected)
    assert frames[0].pixels.flags["C_CONTIGUOUS"]
    assert frames[0].size == (reader.format.height, reader.format.width)
    assert reader.format.rotation == -degrees % 360
    quarter = degrees % 180 != 0
    assert reader.format.sample_aspect_ratio == (Fraction(3, 4) if quarter else Fraction(4, 3))


@pytest.mark.parametrize(
    ("encoder", "pixel_format"),
    [
        ("ffv1", "gray"), ("ffv1", "yuv422p"), ("ffv1", "yuv444p"), ("ffv1", "yuv420p10le"),
        ("ffv1", "yuv411p"), ("ffv1", "bgr0"), ("ffv1", "yuva420p"), ("ffv1", "gbrp16le"),
        ("mjpeg", "yuvj422p"), ("png", "rgb24"), ("png", "pal8"), ("libx264", "yuv444p"),
    ],
)  # fmt: skip
def test_every_pixel_format_becomes_rgb(tmp_path, encoder, pixel_format):
    name = tmp_path / ("a.mov" if encoder == "png" else "a.mkv")
    if pixel_format == "pal8":
        clip = _palette_clip(name)
    else:
        clip = make_clip(name, frames=2, encoder=encoder, pixel_format=pixel_format)
    frames, _ = read_all(clip)
    assert len(frames) == 2
    wanted = picture(48, 64, 1).astype(int)
    if pixel_format == "gray":
        wanted = np.repeat((wanted @ [0.299, 0.587, 0.114])[:, :, None], 3, axis=2)
    if pixel_format != "pal8":
        assert np.abs(frames[1].pixels - wanted).mean() < 6
    else:
        assert frames[1].pixels[0, 0].tolist() == [200, 100, 50]


def _palette_clip(path):
    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        table = np.zeros((256, 4), np.uint8)
        table[7] = (255, 200, 100, 50)  # ARGB
        for _ in range(2):
            indices = np.full((48, 64), 7, np.uint8)
            frame = av.VideoFrame.from_ndarray((indices, table), format="pal8")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_an_odd_size_is_read_exactly(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", frames=1, height=359, width=641, encoder="ffv1")
    frames, _ = read_all(clip)
    assert frames[0].size == (359, 641)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"pixel_format": "yuv420p10le"}, "10 bits"),
        ({"pixel_format": "yuva420p"}, "transparency"),
        ({"tags": {"color_trc": 16}}, "HDR (PQ)"),
        ({"tags": {"color_trc": 18}}, "HDR (HLG)"),
    ],
)
def test_what_is_reduced_is_said(tmp_path, settings, word):
    clip = make_clip(tmp_path / "a.mkv", frames=1, encoder="ffv1", **settings)
    with VideoFileReader(clip) as reader:
        assert [note for note in reader.format.notes if word in note]


def test_an_interlaced_source_is_noted(tmp_path):
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    clip = make_clip(tmp_path / "a.mp4", frames=2, options=options)
    with VideoFileReader(clip) as reader:
        assert [note for note in reader.format.notes if "interlaced" in note]


def test_a_cover_picture_is_not_taken_for_the_video(tmp_path):
    clip = tmp_path / "a.mp4"
    with av.open(str(clip), "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height = 64, 48
        still = av.VideoFrame.from_ndarray(picture(32, 32), format="rgb24")
        output.mux(cover.encode(still.reformat(format="yuvj420p")))
        output.mux(cover.encode(None))
        for index in range(3):
            frame = av.VideoFrame.from_ndarray(picture(48, 64, index), format="rgb24")
            output.mux(video.encode(frame.reformat(format="yuv420p")))
        output.mux(video.encode(None))
    frames, reader = read_all(clip)
    assert len(frames) == 3
    assert frames[0].size == (48, 64)
    assert reader.format.notes == ()


def test_a_change_of_resolution_begins_a_new_session(tmp_path):
    whole = b"".join(
        make_clip(tmp_path / f"{width}.h264", frames=4, width=width, container="h264").read_bytes()
        for width in (64, 96)
    )
    (tmp_path / "a.h264").write_bytes(whole)
    frames, _ = read_all(tmp_path / "a.h264")
    assert [(frame.session, frame.index, frame.size) for frame in frames] == [
        *((0, index, (48, 64)) for index in range(4)),
        *((1, index, (48, 96)) for index in range(4)),
    ]


def test_damage_in_the_middle_loses_no_frame(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", frames=40, options={"g": "10"}, height=96, width=128)
    with av.open(str(clip)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(clip.read_bytes())
    for position, size in spans[12:15]:
        middle = position + size // 2
        data[middle : middle + size // 3] = bytes(size // 3)
    clip.write_bytes(data)
    frames, reader = read_all(clip)
    assert len(frames) == 40
    assert times(frames) == [Fraction(40 * index, 1000) for index in range(40)]
    assert 1 <= reader.corrupt_frames < 20
    assert reader.corrupt_frames == sum(frame.corrupt for frame in frames)
    assert not frames[0].corrupt
    assert not frames[39].corrupt


def test_a_packet_that_cannot_be_decoded_is_replaced_by_the_frame_before(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", frames=20, encoder="mjpeg", pixel_format="yuvj420p")
    with av.open(str(clip)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(clip.read_bytes())
    start = data.index(b"\xff\xd8", spans[8][0])
    data[start : start + spans[8][1] - 16] = bytes(spans[8][1] - 16)
    clip.write_bytes(data)
    frames, reader = read_all(clip)
    assert [frame.corrupt for frame in frames] == [index == 8 for index in range(20)]
    assert times(frames)[8] == Fraction(8 * 40, 1000)
    assert np.array_equal(frames[8].pixels, frames[7].pixels)
    assert frames[8].pixels is not frames[7].pixels
    assert reader.corrupt_frames == 1


@pytest.mark.parametrize(
    ("ending", "options"),
    [
        ("mkv", {}),
        ("ts", {}),
        ("mp4", {"movflags": "+faststart"}),
        ("mp4", {"movflags": "+frag_keyframe+empty_moov"}),
        ("avi", {}),
    ],
    ids=["mkv", "ts", "mp4 with its index first", "fragmented mp4", "avi"],
)
def test_a_truncated_file_gives_what_is_there_and_says_so(tmp_path, ending, options):
    clip = make_clip(
        tmp_path / f"a.{ending}", frames=100, options={"g": "10", "bf": "0"},
        container_options=options, time_base=Fraction(1, 25 if ending == "avi" else 12800),
    )  # fmt: skip
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 6 // 10 + 1])
    frames, reader = read_all(clip)
    assert 20 <= len(frames) < 100
    assert len(reader.problems) == 1
    assert f"is truncated: {len(frames)}" in reader.problems[0]


@pytest.mark.parametrize(
    ("ending", "options"),
    [("mkv", {}), ("ts", {}), ("mp4", {"movflags": "+faststart"}), ("avi", {})],
)
def test_a_piece_before_the_cut_of_a_truncated_file_notes_the_cut_only(tmp_path, ending, options):
    clip = make_clip(
        tmp_path / f"a.{ending}", frames=100, options={"g": "10", "bf": "0"},
        container_options=options, time_base=Fraction(1, 25 if ending == "avi" else 12800),
    )  # fmt: skip
    whole = clip.read_bytes()
    clip.write_bytes(whole[: len(whole) * 6 // 10 + 1])
    readable = len(read_all(clip)[0])
    for piece in (10, readable):  # well before the cut, and right up to it
        frames, reader = read_all(clip, duration=piece / 25)
        assert len(frames) == piece
        assert reader.problems == []
        assert [note for note in reader.format.notes if "truncated, though only after" in note]
    frames, reader = read_all(clip, duration=(readable + 1) / 25)
    assert len(frames) == readable
    assert "is truncated" in reader.problems[0]
    assert reader.format.notes == ()


def test_a_piece_of_a_whole_file_has_nothing_to_note(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=20)
    assert read_all(clip, duration=0.4)[1].format.notes == ()
    assert read_all(clip)[1].format.notes == ()


@pytest.mark.parametrize("seconds", [0.8, 30.0])
def test_a_piece_that_is_the_whole_file_is_said_to_be(tmp_path, seconds):
    frames, reader = read_all(make_clip(tmp_path / "a.mp4", frames=20), duration=seconds)
    assert len(frames) == 20
    assert reader.problems == []
    (note,) = reader.format.notes
    assert "not longer than the sample" in note


@pytest.mark.parametrize("ending", ["mkv", "ts", "mp4", "avi", "mov", "webm"])
def test_a_whole_file_is_never_called_truncated(tmp_path, ending):
    encoder = "libvpx" if ending == "webm" else "libx264"
    _, reader = read_all(make_clip(tmp_path / f"a.{ending}", frames=5, encoder=encoder))
    assert reader.problems == []


def test_one_frame_is_a_video_too(tmp_path):
    frames, reader = read_all(make_clip(tmp_path / "a.mp4", frames=1))
    assert len(frames) == 1
    assert reader.problems == []


def test_a_name_with_a_colon_or_in_any_bytes_is_just_a_name(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=1)
    odd = tmp_path / os.fsdecode(b"http:\xff caf\xc3\xa9.mp4")
    clip.rename(odd)
    frames, _ = read_all(odd)
    assert len(frames) == 1


def test_a_missing_file_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"gone\.mp4 does not exist"):
        VideoFileReader(tmp_path / "gone.mp4")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        VideoFileReader(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match="is empty"):
        VideoFileReader(tmp_path / "a.mp4")


def test_text_that_calls_itself_mp4_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_text("This is not a video.\n" * 50)
    with pytest.raises(InputError, match="is not a video"):
        VideoFileReader(tmp_path / "a.mp4")


def test_an_mp4_without_its_index_is_called_by_its_illness(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=10)
    clip.write_bytes(clip.read_bytes()[:-900])
    with pytest.raises(InputError, match="moov"):
        VideoFileReader(clip)


def test_sound_alone_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as output:
        track = output.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((2, 1024), np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = 48000
        output.mux(track.encode(frame))
        output.mux(track.encode(None))
    with pytest.raises(InputError, match="no video stream, only audio"):
        VideoFileReader(tmp_path / "a.mka")


def test_a_video_without_one_decodable_frame_is_refused(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", frames=3, encoder="mjpeg", pixel_format="yuvj420p")
    data = bytearray(clip.read_bytes())
    with av.open(str(clip)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    for position, size in spans:
        start = data.index(b"\xff\xd8", position)
        data[start : start + size - 16] = bytes(size - 16)
    clip.write_bytes(data)
    with pytest.raises(InputError, match="not one frame"):
        VideoFileReader(clip)


def test_a_file_that_may_not_be_read_is_refused():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        clip = make_clip(Path(folder) / "a.mp4", frames=1)
        clip.chmod(0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            with pytest.raises(InputError, match="no permission"):
                VideoFileReader(clip)
        finally:
            if root:
                os.seteuid(0)


def test_closing_is_harmless_twice_and_in_the_middle(tmp_path):
    reader = VideoFileReader(make_clip(tmp_path / "a.mp4", frames=30))
    frames = iter(reader)
    next(frames)
    reader.close()
    reader.close()
    assert list(frames) == []
    assert reader.problems == []
