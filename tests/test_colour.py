"""Colours come back as they were, for every meaning that YCbCr can have."""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
import pytest

from streamderain.colour import (
    bit_depth,
    colour_of,
    encoding_colour,
    has_alpha,
    is_grey,
    is_rgb,
    known_tags,
)
from streamderain.conversion import from_rgb, to_rgb
from streamderain.frame import Colour
from tests.clips import make_clip, null_copy, planes

BT601 = {"colorspace": 6, "color_primaries": 6, "color_trc": 6}
BT709 = {"colorspace": 1, "color_primaries": 1, "color_trc": 1}
LIMITED, FULL = {"color_range": 1}, {"color_range": 2}


@dataclass
class Tags:
    colorspace: int = 2
    color_range: int = 0
    color_primaries: int = 2
    color_trc: int = 2


def stream_tags(path):
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return {
            "colorspace": context.colorspace,
            "color_range": context.color_range,
            "color_primaries": context.color_primaries,
            "color_trc": context.color_trc,
        }


@pytest.mark.parametrize("extent", [LIMITED, FULL], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [BT601, BT709], ids=["bt601", "bt709"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
def test_the_planes_and_the_tags_survive_a_round_trip(tmp_path, matrix, extent, pixel_format):
    tags = {**matrix, **extent}
    source = make_clip(
        tmp_path / "a.mkv", frames=3, encoder="ffv1", pixel_format=pixel_format, tags=tags
    )
    null_copy(source, tmp_path / "b.mkv", codec="ffv1")
    assert stream_tags(tmp_path / "b.mkv") == tags
    for before, after in zip(planes(source), planes(tmp_path / "b.mkv"), strict=True):
        for a, b in zip(before, after, strict=True):
            assert np.abs(a - b).mean() < 0.75
            assert np.abs(a - b).max() <= 2


@pytest.mark.parametrize("extent", [LIMITED, FULL], ids=["limited", "full"])
def test_h264_keeps_the_planes_and_tags_too(tmp_path, extent):
    tags = {**BT709, **extent}
    source = make_clip(tmp_path / "a.mp4", frames=3, options={"qp": "0"}, tags=tags)
    null_copy(source, tmp_path / "b.mp4", crf=0)
    assert stream_tags(tmp_path / "b.mp4") == tags
    for before, after in zip(planes(source), planes(tmp_path / "b.mp4"), strict=True):
        for a, b in zip(before, after, strict=True):
            assert np.abs(a - b).mean() < 0.75


@pytest.mark.parametrize("size", [(48, 64), (720, 128)], ids=["below 720 lines", "720 lines"])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_what_the_source_leaves_unsaid_stays_unsaid_and_the_planes_stay_too(tmp_path, size, ending):
    source = make_clip(
        tmp_path / f"a.{ending}", frames=1, height=size[0], width=size[1], options={"qp": "0"}
    )
    target = tmp_path / f"b.{ending}"
    null_copy(source, target, crf=0)
    assert stream_tags(source) == stream_tags(target) == vars(Tags())
    assert b"colr" not in target.read_bytes()
    for a, b in zip(planes(source)[0], planes(target)[0], strict=True):
        assert np.abs(a - b).mean() < 0.75


@pytest.mark.parametrize("tags", [{"color_primaries": 1}, {"color_trc": 6}, {"colorspace": 5}])
def test_a_source_that_says_only_a_part_comes_back_with_that_part(tmp_path, tags):
    source = make_clip(tmp_path / "a.mp4", frames=1, tags=tags)
    null_copy(source, tmp_path / "b.mp4")
    assert stream_tags(tmp_path / "b.mp4") == stream_tags(source)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_codecs_that_cannot_leave_the_range_open_say_the_one_that_was_assumed(tmp_path, codec):
    source = make_clip(tmp_path / "a.mp4", frames=1, height=64)
    null_copy(source, tmp_path / "b.mkv", codec=codec)
    assert stream_tags(tmp_path / "b.mkv") == vars(Tags(color_range=1))


def test_ycbcr_that_was_made_of_rgb_says_how(tmp_path):
    source = make_clip(tmp_path / "a.mkv", frames=1, encoder="ffv1", pixel_format="bgr0")
    null_copy(source, tmp_path / "b.mp4")
    tags = stream_tags(tmp_path / "b.mp4")
    assert (tags["colorspace"], tags["color_range"]) == (6, 1)


def test_an_assumed_matrix_is_said_where_the_turned_picture_would_be_taken_for_another(tmp_path):
    source = make_clip(
        tmp_path / "a.mp4", frames=1, height=64, width=720, options={"qp": "0"}, rotation=90
    )
    null_copy(source, tmp_path / "b.mp4", crf=0)
    assert stream_tags(tmp_path / "b.mp4") == vars(Tags(colorspace=6, color_range=1))


@pytest.mark.parametrize(
    "wrong", [Colour("smpte170m", "tv"), Colour("bt709", "pc")], ids=["matrix", "range"]
)
def test_a_wrong_matrix_or_range_would_be_seen_by_that_threshold(tmp_path, wrong):
    source = make_clip(tmp_path / "a.mkv", frames=1, encoder="ffv1", tags={**BT709, **LIMITED})
    with av.open(str(source)) as container:
        frame = next(container.decode(video=0))
        right = to_rgb(frame, Colour("bt709", "tv"))
        back = from_rgb(right, wrong, "yuv420p")
    difference = max(
        np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).mean()
        for a, b in zip(_arrays(frame), _arrays(back), strict=True)
    )
    assert difference > 1.5


def test_rgb_is_what_the_matrix_says():
    frame = av.VideoFrame(16, 16, "yuv444p")
    for plane, value in zip(frame.planes, (81, 90, 240), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    red = to_rgb(frame, Colour("smpte170m", "tv"))[8, 8]
    assert np.abs(red.astype(int) - (255, 0, 0)).max() <= 2  # BT.601's own pure red
    other = to_rgb(frame, Colour("bt709", "tv"))[8, 8]
    assert np.abs(other.astype(int) - red).max() > 10


@pytest.mark.parametrize(("extent", "expected"), [("tv", (0, 255)), ("pc", (16, 235))])
def test_grey_obeys_its_range(extent, expected):
    grey = np.full((16, 16), 16, np.uint8)
    grey[8:] = 235
    frame = av.VideoFrame.from_ndarray(grey, format="gray")
    colour = Colour("bt709", extent)
    pixels = to_rgb(frame, colour)
    assert (pixels[0, 0, 0], pixels[15, 0, 0]) == expected
    assert np.array_equal(from_rgb(pixels, colour, "gray").to_ndarray(), grey)


def test_pixels_are_contiguous_even_where_lines_are_padded():
    frame = av.VideoFrame(101, 33, "yuv444p")
    pixels = to_rgb(frame, Colour())
    assert pixels.shape == (33, 101, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("height", "matrix"), [(576, "smpte170m"), (719, "smpte170m"), (720, "bt709")]
)
def test_an_untagged_picture_is_taken_for_the_standard_of_its_size(height, matrix):
    colour = colour_of(Tags(), "yuv420p", height)
    assert colour == Colour(matrix, "tv", assumed=("matrix", "range"))


def test_what_was_assumed_is_not_written_as_if_it_were_known():
    assert known_tags(colour_of(Tags(), "yuv420p", 720)) == vars(Tags())
    tags = Tags(colorspace=9, color_range=2, color_primaries=9, color_trc=16)
    assert known_tags(colour_of(tags, "yuv420p10le", 720)) == vars(tags)


def test_yuvj_formats_are_full_range_by_name():
    assert colour_of(Tags(), "yuvj420p", 480).range == "pc"


def test_rgb_sources_get_a_matrix_only_where_the_target_needs_one():
    rgb = colour_of(Tags(), "gbrp", 480)
    assert rgb.matrix == "rgb"
    assert encoding_colour(rgb, "yuv444p", 480).matrix == "smpte170m"
    assert encoding_colour(rgb, "yuv444p", 1080).matrix == "bt709"
    assert encoding_colour(rgb, "bgr0", 480).matrix == "rgb"


def test_what_was_assumed_is_said_only_where_the_lines_of_the_target_tell_otherwise():
    colour = colour_of(Tags(), "yuv420p", 576)
    assert encoding_colour(colour, "yuv420p", 576) == colour
    turned = encoding_colour(colour, "yuv420p", 720)
    assert turned == Colour("smpte170m", "tv", assumed=("range",))
    tagged = colour_of(Tags(colorspace=6), "yuv420p", 1080)
    assert encoding_colour(tagged, "yuv420p", 1080) == tagged


def test_a_matrix_that_swscale_lacks_still_comes_back(tmp_path):
    source = make_clip(
        tmp_path / "a.mkv", frames=1, encoder="ffv1", tags={"colorspace": 8, "color_range": 1}
    )
    null_copy(source, tmp_path / "b.mkv", codec="ffv1")
    assert stream_tags(tmp_path / "b.mkv")["colorspace"] == 8
    for a, b in zip(planes(source)[0], planes(tmp_path / "b.mkv")[0], strict=True):
        assert np.abs(a - b).mean() < 0.75


def test_pixel_formats_are_told_apart():
    assert is_grey("gray10le")
    assert not is_grey("yuv420p")
    assert is_rgb("pal8")
    assert is_rgb("gbrp")
    assert not is_rgb("yuv444p")
    assert has_alpha("yuva420p")
    assert not has_alpha("bgr0")
    assert bit_depth("yuv420p10le") == 10
    assert bit_depth("yuv420p") == 8


def _arrays(frame):
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    ]
