"""Live pictures stay as codecs hold them, from the camera to the recorder."""

import functools
import http.server
import io
import threading

import av
import cv2
import numpy as np
import pytest

from streamderain.conversion import planes_from_rgb, planes_of
from streamderain.frame import Colour, Planes, pixels_of
from streamderain.inference.backend import NullBackend
from streamderain.live.engine import Engine
from streamderain.live.exchange import Exchange
from streamderain.live.lane import LaneSettings
from streamderain.live.outlet import Outlet
from streamderain.live.reports import Pair
from streamderain.live.switchboard import Switchboard
from streamderain.readers.live import Shape
from streamderain.readers.network import NetworkSource
from streamderain.readers.playing import play_file
from streamderain.service.picture import encode, shown_width
from streamderain.writers.recording import SegmentRecorder
from streamderain.writers.rtsp_encoder import EncoderSettings, LiveEncoder
from tests.clips import make_clip, picture, read_all
from tests.live_frames import live_frame

USUAL = Colour()
FULL = Colour("bt709", "pc")
OLD = Colour("smpte170m", "tv")


def coded(pixels, colour=USUAL):
    return planes_from_rgb(pixels, colour)


@pytest.fixture
def camera(tmp_path):
    """A camera that gives the files of a folder over HTTP."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *text):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lambda name: NetworkSource(
            f"http://127.0.0.1:{server.server_address[1]}/{name}", shown="http://camera", timeout=9
        )
        server.shutdown()


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    "tags", [{}, {"colorspace": 6, "color_range": 1}, {"colorspace": 1, "color_range": 2}]
)
def test_a_camera_gives_what_it_codes(camera, tmp_path, tags):
    clip = make_clip(tmp_path / "a.ts", frames=12, tags=tags)
    with camera("a.ts") as source:
        got = [captured.picture() for captured in source]
    for found, samples in zip(got, decoded(clip), strict=True):
        assert isinstance(found, Planes)
        assert np.array_equal(found.samples, samples)
    assert got[0].colour.range == ("pc" if tags.get("color_range") == 2 else "tv")
    assert got[0].colour.matrix == ("bt709" if tags.get("colorspace") == 1 else "smpte170m")


def test_a_recording_is_played_as_it_is_coded_and_a_turned_one_as_rgb(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=3)
    turned = make_clip(tmp_path / "b.mp4", frames=3, rotation=90)
    with play_file(clip, pace=False) as source:
        got = [captured.picture().samples for captured in source]
    assert all(np.array_equal(a, b) for a, b in zip(got, decoded(clip), strict=True))
    with play_file(turned, pace=False) as source:
        assert [captured.picture().shape for captured in source] == [(64, 48, 3)] * 3


def test_what_a_gpu_decodes_holds_the_same_samples():
    samples = coded(picture(48, 64)).samples
    frame = av.VideoFrame.from_ndarray(samples, format="yuv420p").reformat(format="nv12")
    assert frame.format.name == "nv12"
    assert np.array_equal(planes_of(frame, Colour()).samples, samples)


def test_a_region_is_cut_out_of_the_planes():
    whole = coded(picture(96, 128))
    cut = Shape((16, 8, 60, 40)).apply(whole)
    assert cut.size == (40, 60)
    assert np.array_equal(cut.luma, whole.luma[8:48, 16:76])
    for part, chroma in zip(cut.chroma, whole.chroma, strict=True):
        assert np.array_equal(part, chroma[4:24, 8:38])
    assert Shape().apply(whole) is whole
    assert Shape((0, 0, 128, 96), (128, 96)).apply(whole) is whole


@pytest.mark.parametrize("region", [(15, 8, 60, 40), (16, 9, 60, 40), (16, 8, 61, 40)])
def test_an_odd_region_has_every_pixel(region):
    whole = coded(picture(96, 128))
    left, top, width, height = region
    wanted = pixels_of(whole)[top : top + height, left : left + width]
    assert np.array_equal(Shape(region).apply(whole), wanted)


@pytest.mark.parametrize("size", [(64, 48), (192, 144), (100, 60), (63, 47)])
def test_scaled_planes_show_what_scaled_rgb_shows(size):
    whole = coded(picture(96, 128))
    found = Shape(None, size).apply(whole)
    method = cv2.INTER_AREA if size[0] < 128 else cv2.INTER_LINEAR
    wanted = cv2.resize(pixels_of(whole), size, interpolation=method)
    assert isinstance(found, Planes) == (size[0] % 2 == 0)
    if isinstance(found, Planes):
        wanted = pixels_of(coded(wanted))
    assert pixels_of(found).shape == wanted.shape
    differ = np.abs(pixels_of(found).astype(int) - wanted)
    assert differ.mean() < 1.5
    assert differ.max() < 12


class Planar(NullBackend):
    """Adds one to what codecs hold; has never been given RGB."""

    name, takes_planes = "planar", True

    def __init__(self, lanes=1):
        super().__init__()
        self.lanes, self.batches = lanes, []

    def run_planes(self, pictures, priors):
        self.batches.append(len(pictures))
        return [Planes(picture.samples + np.uint8(1), picture.colour) for picture in pictures]

    def run(self, frames):
        raise AssertionError("nobody needs RGB")


class Site:
    """Cameras, the network, and what leaves."""

    def __init__(self, backend, *names):
        self.engine = Engine(backend)
        self.exchange = Exchange(Switchboard(self.engine.batcher))
        lane = LaneSettings("drop-oldest", capacity=8, staleness_s=30.0)
        for name in names:
            self.exchange.add(name, lane, {"publish": Outlet("publish", 8)})
        self.thread = threading.Thread(target=self.engine.run, args=(self.exchange,), daemon=True)

    def offer(self, name, shown):
        frame = live_frame(0, name)
        frame.picture = shown
        self.exchange.offer(name, frame)

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.exchange.cancel()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.mark.parametrize(("lanes", "batches"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (8, [4])])
def test_as_many_frames_are_run_at_once_as_the_runtime_runs_side_by_side(lanes, batches):
    backend = Planar(lanes)
    with Site(backend, *"abcd") as site:
        for name in "abcd":
            site.offer(name, coded(picture(300, 400)))
        site.thread.start()
        for name in "abcd":
            assert site.exchange.take(name, "publish", timeout=10).derained
    assert backend.batches == batches


def test_frames_of_rgb_hold_no_others_of_their_batch():
    class Doubling(NullBackend):
        name, lanes = "doubling", 2

        def run(self, frames):
            return frames + np.uint8(1)

    with Site(Doubling(), "a", "b") as site:
        for name in "ab":
            site.offer(name, picture(300, 400))
        site.thread.start()
        for name in "ab":
            pixels = site.exchange.take(name, "publish", timeout=10).pixels
            assert np.array_equal(pixels, picture(300, 400) + np.uint8(1))
            assert pixels.base is None


def test_the_network_of_many_cameras_gets_planes_and_viewers_see_both():
    with Site(Planar(), "gate", "yard") as site:
        site.offer("gate", coded(picture(48, 64), OLD))
        site.offer("yard", coded(picture(48, 64), FULL))
        site.thread.start()
        for name, colour in (("gate", OLD), ("yard", FULL)):
            left = site.exchange.take(name, "publish")
            before = coded(picture(48, 64), colour)
            assert left.derained
            assert left.picture.colour == colour
            assert np.array_equal(left.picture.samples, before.samples + 1)
            pair = site.exchange.wait_newest(name, 0, 10)
            assert np.array_equal(pair.before.samples, before.samples)
            assert pair.after is left.picture
            found = np.frombuffer(encode(pair, "both", 64, "png"), np.uint8)
            shown = cv2.imdecode(found, 1)[..., ::-1]
            assert np.array_equal(shown[:, :64], pixels_of(before))
            assert np.array_equal(shown[:, 64:], pixels_of(left.picture))
            assert shown_width(pair, "before", None) == 64
        site.engine.reload(Planar, site.exchange, [coded(picture(48, 64))])
        assert site.engine.needs.planes


@pytest.mark.parametrize("width", [16, 33, 64])
def test_a_small_picture_shows_what_a_large_one_does(width):
    pair = Pair(1, coded(picture(96, 128)), coded(picture(96, 128, 3)), live_frame(0))
    shown = cv2.imdecode(np.frombuffer(encode(pair, "both", width, "png"), np.uint8), 1)[..., ::-1]
    size = width, round(96 * width / 128)
    for side, whole in ((shown[:, :width], pair.before), (shown[:, width:], pair.after)):
        wanted = cv2.resize(pixels_of(whole), size, interpolation=cv2.INTER_AREA)
        assert side.shape == wanted.shape
        assert np.abs(cv2.blur(side, (3, 3)).astype(int) - cv2.blur(wanted, (3, 3))).mean() < 4


def recorded(index, shown, colour):
    frame = live_frame(index)
    frame.picture, frame.coded = shown, colour
    frame.t_capture_ns = 10**18 + index * 40_000_000
    return frame


def test_a_frame_that_passed_is_shown_once_for_both():
    planes = coded(picture(48, 64))
    shown = encode(Pair(1, planes, planes, live_frame(0)), "both", 32, "png")
    assert cv2.imdecode(np.frombuffer(shown, np.uint8), 1).shape == (24, 64, 3)


@pytest.mark.parametrize("colour", [USUAL, OLD, FULL])
def test_a_recorder_keeps_the_samples_and_what_they_mean(tmp_path, colour):
    recorder = SegmentRecorder(tmp_path, "gate", crf=0)
    frames = [coded(picture(48, 64, index), colour) for index in range(4)]
    for index, each in enumerate(frames):
        recorder.write(recorded(index, each, colour))
    recorder.close()
    (path,) = tmp_path.iterdir()
    for came, went in zip(frames, decoded(path), strict=True):
        assert np.array_equal(came.samples, went)
    back, reader = read_all(path)
    assert (reader.format.colour.matrix, reader.format.colour.range) == (
        colour.matrix,
        colour.range,
    )
    assert np.array_equal(back[0].pixels, pixels_of(frames[0]))


@pytest.mark.parametrize("first", [0, 1], ids=["dry", "derained"])
def test_whether_a_segment_begins_dry_or_derained_its_colours_are_the_cameras(tmp_path, first):
    """Networks that take no planes give RGB; what they leave alone may still be planes."""
    recorder = SegmentRecorder(tmp_path, "gate", crf=0)
    pictures = [coded(picture(48, 64), FULL), picture(48, 64), coded(picture(48, 64), OLD)]
    for index, each in enumerate(pictures[first:]):
        recorder.write(recorded(index, each, FULL))
    recorder.close()
    (path,) = tmp_path.iterdir()
    got, reader = read_all(path)
    assert (reader.format.colour.matrix, reader.format.colour.range) == ("bt709", "pc")
    for frame in got:
        assert np.abs(frame.pixels.astype(int) - picture(48, 64)).mean() < 3


@pytest.mark.parametrize("colour", [USUAL, OLD, FULL])
@pytest.mark.parametrize("size", [(48, 64), (50, 66)])
def test_an_rtsp_server_gets_the_samples_and_what_they_mean(colour, size):
    encoder = LiveEncoder(*size, EncoderSettings(crf=0), 25.0, colour)
    frames = [coded(picture(*size, index), colour) for index in range(3)]
    stream = b"".join(
        bytes(packet)
        for index, each in enumerate(frames)
        for packet in encoder.encode(each, 3600 * index)
    )
    with av.open(io.BytesIO(stream), format="h264") as container:
        got = list(container.decode(video=0))
    for came, went in zip(frames, got, strict=True):
        assert np.array_equal(came.samples, went.to_ndarray())
    assert got[0].color_range == (2 if colour.range == "pc" else 1)
    assert got[0].colorspace == (6 if colour.matrix == "smpte170m" else 1)
