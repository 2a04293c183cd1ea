"""Pictures as codecs hold them: read, judged, remembered, derained and written without RGB."""

import dataclasses
import mmap

import av
import cv2
import numpy as np
import pytest

from streamderain import conversion, metrics
from streamderain.clean import CleanOptions
from streamderain.cli import main
from streamderain.conversion import from_planes, from_rgb, planes_of
from streamderain.errors import ModelMemoryError
from streamderain.frame import Colour, Planes, pixels_of
from streamderain.inference.backend import NullBackend, takes_planes
from streamderain.inference.derainer import Derainer
from streamderain.inference.exposure import as_bright_as
from streamderain.inference.gauge import RainGauge
from streamderain.inference.grey import is_grey
from streamderain.inference.past import TemporalPrior
from streamderain.inference.pictures import put
from streamderain.inference.prior import Prior
from streamderain.inference.running import derain, derain_coded
from streamderain.readers.scene import SceneReader
from streamderain.readers.span import SpanReader
from streamderain.readers.video import VideoFileReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import make_clip, picture, planes, read_all
from tests.coded import coded
from tests.live_frames import live_frame

SIZE = (180, 320)


def street(rain, seconds=1.0, size=SIZE):
    with SceneReader(rain=rain, seconds=seconds, height=size[0], width=size[1]) as reader:
        return [frame.pixels for frame in reader], [
            reader.clean_frame(index) for index in range(round(25 * seconds))
        ]


@pytest.fixture(scope="module")
def heavy():
    return street("heavy")


def test_a_reader_gives_what_was_coded_and_pixels_are_made_of_it_when_asked_for(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=3)
    frames, _ = read_all(clip, planes=True)
    with av.open(str(clip)) as container:
        decoded = [frame.to_ndarray() for frame in container.decode(video=0)]
    for frame, samples, in_rgb in zip(frames, decoded, read_all(clip)[0], strict=True):
        assert isinstance(frame.picture, Planes)
        assert np.array_equal(frame.picture.samples, samples)
        assert frame.size == in_rgb.size == frame.picture.size
        assert np.array_equal(frame.pixels, in_rgb.pixels)
        assert frame.pixels is frame.pixels, "converted once"
        assert isinstance(frame.picture, Planes), "and planes still"
        frame.picture = decoded_again = coded(picture(48, 64, 9))
        assert np.array_equal(frame.pixels, pixels_of(decoded_again))


@pytest.mark.parametrize(
    "clip",
    [
        {"height": 47, "width": 63, "pixel_format": "yuv444p"}, {"pixel_format": "yuv422p"},
        {"encoder": "ffv1", "pixel_format": "gray"}, {"rotation": 90}, {"rotation": 180},
        {"encoder": "ffv1", "pixel_format": "yuv420p10le"},
        {"encoder": "ffv1", "pixel_format": "bgr0"},
    ],
)  # fmt: skip
def test_what_is_coded_or_turned_in_another_way_comes_as_rgb(tmp_path, clip):
    source = make_clip(tmp_path / "a.mkv", frames=2, **clip)
    frames, _ = read_all(source, planes=True)
    for frame, other in zip(frames, read_all(source)[0], strict=True):
        assert np.array_equal(frame.picture, other.picture)


@pytest.mark.parametrize("tags", [{}, {"colorspace": 1, "color_range": 2}, {"colorspace": 5}])
@pytest.mark.parametrize("size", [(48, 64), (50, 66)])
def test_frames_that_nobody_touched_are_written_as_they_were_coded(tmp_path, tags, size):
    clip = make_clip(tmp_path / "a.mkv", frames=4, tags=tags, height=size[0], width=size[1])
    target = tmp_path / "b.mkv"
    with VideoFileReader(clip, planes=True) as reader:
        writer = VideoFileWriter(target, reader.format, source=clip, codec="ffv1")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    for came, went in zip(planes(clip), planes(target), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(came, went, strict=True))


def test_clean_leaves_dry_frames_as_they_were_coded(tmp_path):
    clip, target = make_clip(tmp_path / "a.mp4", frames=8), tmp_path / "b.mkv"
    arguments = ["clean", str(clip), "-o", str(target), "--codec", "ffv1", "--model", "video-xs"]
    assert main(arguments) == 0
    for came, went in zip(planes(clip), planes(target), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(came, went, strict=True))


def test_a_segment_is_read_as_planes_too(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=3)
    with SpanReader(clip, seek=None, first=None, until=None, planes=True) as reader:
        assert all(isinstance(frame.picture, Planes) for frame in reader)


def test_a_frame_of_another_range_than_the_first_one_is_converted():
    frame = av.VideoFrame.from_ndarray(coded(picture(48, 64)).samples, format="yuvj420p")
    assert planes_of(frame, Colour("bt709", "tv")) is None, "it says full range by its name"
    assert planes_of(frame, Colour("bt709", "pc")) is not None


def test_chroma_is_copied_wherever_luma_is():
    there, here = (Planes(np.full((6, 4), level, np.uint8), Colour()) for level in (200, 100))
    where = np.zeros((4, 4), np.uint8)
    where[1, 3] = 1
    put(there, where, here)
    assert here.luma[1, 3] == 200
    assert [part.tolist() for part in here.chroma] == [[[100, 200], [100, 100]]] * 2


@pytest.mark.parametrize("width", [16, 18, 34, 50])
def test_rows_of_any_width_are_converted_from_memory_that_ends_with_them(width):
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    pixels = picture(20, width)
    tail = np.frombuffer(memory, np.uint8)[mmap.PAGESIZE - pixels.size : mmap.PAGESIZE]
    tail[:] = pixels.ravel()
    made = from_rgb(tail.reshape(pixels.shape), Colour(), "yuv444p")
    assert np.array_equal(made.to_ndarray(), from_rgb(pixels, Colour(), "yuv444p").to_ndarray())


def test_planes_that_mean_something_else_than_the_encoder_are_converted():
    made = coded(picture(48, 64), "pc")
    assert from_planes(made, made.colour, "yuv420p") is not None
    assert from_planes(made, Colour(), "yuv420p") is None, "another range"
    assert from_planes(made, dataclasses.replace(made.colour, matrix="bt470bg"), "yuv420p") is None
    assert from_planes(made, made.colour, "yuv444p") is None


@pytest.mark.parametrize("shape", [(31, 16), (48, 15)])
def test_samples_that_are_no_picture_are_refused(shape):
    with pytest.raises(ValueError, match="no picture in 4:2:0"):
        Planes(np.zeros(shape, np.uint8), Colour())


@pytest.mark.parametrize("range", ["tv", "pc"])
@pytest.mark.parametrize("rain", ["light", "heavy", None])
def test_the_gauge_says_of_planes_what_it_says_of_rgb(rain, range):
    in_rgb, in_planes = RainGauge(), RainGauge()
    for frame in street(rain, 0.6, (360, 640))[0]:
        assert in_planes.step(coded(frame, range)) == pytest.approx(in_rgb.step(frame), abs=0.1)


def known(frames):
    past = TemporalPrior()
    return [past.step(frame) for frame in frames]


def psnr(one, other):
    return metrics.psnr(metrics.luma(one), metrics.luma(other))


@pytest.mark.parametrize("range", ["tv", "pc"])
def test_the_past_knows_of_planes_what_it_knows_of_rgb(heavy, range):
    rainy, clean = heavy
    in_rgb = known(rainy[:14])[-1]
    in_planes = known([coded(frame, range) for frame in rainy[:14]])[-1]
    assert isinstance(in_planes.picture, Planes)
    assert in_planes.picture.colour.range == range
    assert psnr(in_planes.pixels, clean[13]) > psnr(in_rgb.pixels, clean[13]) - 0.4
    differ = np.abs(in_planes.reliability.astype(int) - in_rgb.reliability)
    assert differ.mean() < 6


@pytest.mark.parametrize("step", [(0.0, 3.0), (1.0, 0.5), (-2.4, 1.3)])
def test_a_camera_that_turns_is_followed_in_planes(heavy, step):
    _, clean = heavy
    large = cv2.resize(clean[0], None, fx=1.5, fy=1.5, interpolation=cv2.INTER_AREA)
    views = []
    for index in range(8):
        at = np.float32([[1, 0, -30 - index * step[1]], [0, 1, -30 - index * step[0]]])
        views.append(cv2.warpAffine(large, at, SIZE[::-1], flags=cv2.INTER_CUBIC))
    in_rgb, in_planes = known(views)[-1], known(list(map(coded, views)))[-1]
    assert in_planes.movement is not None
    assert in_planes.movement.down == pytest.approx(-step[0], abs=0.1)
    assert in_planes.movement.right == pytest.approx(-step[1], abs=0.1)
    inside = np.s_[10:-10, 10:-10]
    as_rgb = min(psnr(in_rgb.pixels[inside], views[-1][inside]), 50)
    assert psnr(in_planes.pixels[inside], views[-1][inside]) > as_rgb - 1


def test_planes_are_brought_to_the_exposure_of_the_present(heavy):
    scene = np.clip(heavy[1][0], 30, 200)
    now, before = coded(scene), coded(scene - np.uint8(10))
    (as_bright,) = as_bright_as(now, [before])
    assert isinstance(as_bright, Planes)
    differ = np.abs(as_bright.samples.astype(int) - now.samples)
    assert differ.mean() < 1
    (same,) = as_bright_as(now, [now])
    assert same is now


def test_another_kind_of_picture_begins_a_scene():
    past, pixels = TemporalPrior(), picture(*SIZE)
    for frame in (pixels, pixels, coded(pixels)):
        found = past.step(frame)
    assert found.frames == 0
    assert past.scene == 1


def test_grey_is_known_by_its_chroma():
    grey = coded(np.repeat(picture(48, 64)[..., :1], 3, axis=2))
    assert is_grey(grey)
    grey.chroma[1][3, 5] += 3
    assert not is_grey(grey)


class Planar(NullBackend):
    """Gives planes back, as long as there is room."""

    takes_planes, room = True, True

    def run_planes(self, pictures, priors):
        assert priors is None
        if not self.room:
            raise ModelMemoryError("no memory")
        return [Planes(picture.samples + np.uint8(1), picture.colour) for picture in pictures]


def test_a_network_that_takes_planes_gets_them_and_rgb_where_they_do_not_fit():
    backend, planes = Planar(), [coded(picture(48, 64, index)) for index in range(2)]
    made = derain_coded(backend, planes)
    assert all(np.array_equal(a.samples, b.samples + 1) for a, b in zip(made, planes, strict=True))
    mixed = derain_coded(backend, [picture(48, 64), planes[0], picture(48, 64, 1)])
    assert np.array_equal(mixed[1].samples, planes[0].samples + 1)
    assert np.array_equal(mixed[0], picture(48, 64))
    assert np.array_equal(mixed[2], picture(48, 64, 1))
    backend.room = False
    (first, second) = derain_coded(backend, planes)
    assert np.array_equal(first, pixels_of(planes[0]))
    assert np.array_equal(second, pixels_of(planes[1]))
    assert np.array_equal(derain_coded(NullBackend(), planes)[1], pixels_of(planes[1]))


def test_who_needs_rgb_is_given_what_was_converted_beside_it(monkeypatch):
    class Plain(NullBackend):
        name, inputs = "plain", 7

        def run(self, frames):
            return frames[..., :3]

    made, convert = [], conversion.rgb_of
    monkeypatch.setattr(conversion, "rgb_of", lambda planes: made.append(1) or convert(planes))
    frames = [live_frame(index) for index in range(4)]
    for index, frame in enumerate(frames):
        frame.picture = coded(picture(48, 64, index))
    frames[1].bypass = "dry"
    derainer = Derainer(Plain())
    looked = list(derainer.look(frames))
    assert len(made) == 6  # of three frames, and of what the past says of each
    cleaned = list(derainer.clean(looked))
    assert len(made) == 6
    assert [frame.derained for frame in cleaned] == [True, False, True, True]
    assert isinstance(cleaned[1].picture, Planes), "nobody needs it"
    assert np.array_equal(cleaned[2].picture, convert(coded(picture(48, 64, 2))))


@pytest.fixture(scope="module", params=["onnx", "openvino"])
def backend(request):
    pytest.importorskip({"onnx": "onnxruntime"}.get(request.param, request.param))
    from streamderain.inference.create import create_backend

    with create_backend("video-xs", "cpu", request.param, "int8") as opened:
        assert takes_planes(opened)
        yield opened


def test_a_network_makes_of_planes_what_it_makes_of_rgb(backend, heavy):
    rainy, clean = heavy
    planes = [coded(frame) for frame in rainy[:12]]
    priors = known(planes)[-2:]
    made = derain_coded(backend, planes[-2:], priors)
    in_rgb = derain(
        backend,
        [pixels_of(p) for p in planes[-2:]],
        [Prior(p.pixels, p.reliability) for p in priors],
    )
    for one, other, truth in zip(made, in_rgb, clean[10:12], strict=True):
        assert isinstance(one, Planes)
        assert np.abs(pixels_of(one).astype(int) - other).mean() < 1
        assert psnr(pixels_of(one), truth) > psnr(other, truth) - 0.15


@pytest.mark.parametrize("size", [(2, 2), (34, 18), (180, 322)])
def test_planes_of_every_even_size_go_through(backend, size):
    (made,) = derain_coded(backend, [coded(picture(*size))])
    assert made.size == size
    assert metrics.psnr(pixels_of(made), picture(*size)) > 20


def test_a_grey_camera_stays_grey(backend, heavy):
    grey = coded(np.repeat(heavy[0][0][..., :1], 3, axis=2))
    (made,) = derain_coded(backend, [grey])
    assert np.array_equal(made.samples[SIZE[0] :], grey.samples[SIZE[0] :])
    assert not np.array_equal(made.luma, grey.luma)


def test_batches_of_planes_are_those_of_one_by_one(backend, heavy):
    planes = [coded(frame) for frame in heavy[0][:3]]
    together = derain_coded(backend, planes)
    for one, other in zip(together, planes, strict=True):
        (alone,) = derain_coded(backend, [other])
        differ = np.abs(one.samples.astype(int) - alone.samples)
        assert differ.max() <= 3, "sums are rounded in another order"
        assert differ.mean() < 0.2


def test_a_frame_is_compared_in_rgb(tmp_path):
    clip, target = make_clip(tmp_path / "a.mp4", frames=6), tmp_path / "b.mp4"
    assert CleanOptions(compare=True).compare
    arguments = ["clean", str(clip), "-o", str(target), "--compare", "--always"]
    assert main([*arguments, "--model", "video-xs"]) == 0
    assert len(read_all(target)[0]) == 6


def test_a_live_frame_may_be_either():
    frame = live_frame(0)
    frame.picture = coded(picture(48, 64))
    assert frame.pixels.shape == (48, 64, 3)
