"""``open_clean``: recordings frame for frame, cameras newest first, and nothing left behind."""

import gc
import threading
import time
import weakref
from fractions import Fraction

import numpy as np
import pytest

from streamderain import Derainer, open_clean
from streamderain.api.feeds import CameraFeed
from streamderain.api.video import CleanVideo
from streamderain.errors import InputError, ModelError, UsageError
from streamderain.inference.derainer import Derainer as Stage
from streamderain.inference.gate import GateConfig
from streamderain.readers.capture import CaptureTime
from streamderain.readers.live import Captured, SourceLostError, SourceRefusedError
from streamderain.readers.scene import SceneReader
from streamderain.readers.video import VideoFileReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import make_clip, picture, read_all
from tests.waiting import until


def threads_of(name):
    return [thread for thread in threading.enumerate() if thread.name == f"read {name}"]


@pytest.fixture(scope="module")
def rainy(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "rainy.mp4"
    with SceneReader(height=72, width=128, seconds=1.2, rain="heavy") as reader:
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def network():
    with Derainer("video-xs") as derainer:
        yield derainer


@pytest.fixture
def null():
    with Derainer("null") as derainer:
        yield derainer


def expected_of(path, derainer, **settings):
    """What ``clean`` makes of it."""
    stage = Stage(derainer._backend, gate=GateConfig(), **settings)
    with VideoFileReader(path) as reader:
        return list(stage.process(reader))


@pytest.mark.parametrize("lookahead", [0, 4])
def test_a_recording_comes_out_as_clean_cleans_it(rainy, network, lookahead):
    expected = expected_of(rainy, network, lookahead=lookahead)
    with open_clean(rainy, derainer=network, lookahead=lookahead) as frames:
        found = list(frames)
    assert len(found) == 30
    for one, other in zip(found, expected, strict=True):
        assert (one.index, one.pts, one.time_base) == (other.index, other.pts, other.time_base)
        assert (one.derained, one.bypass, one.rain) == (other.derained, other.bypass, other.rain)
        assert np.abs(one.pixels.astype(int) - other.pixels).max() <= 1
        assert one.model == "video-xs"
        assert one.original is None


def test_drawing_on_the_frames_changes_nothing_of_those_to_come(rainy, network):
    with open_clean(rainy, derainer=network) as frames:
        expected = [frame.pixels.copy() for frame in frames]
    with open_clean(rainy, derainer=network, keep_original=True) as frames:
        for frame, pixels in zip(frames, expected, strict=True):
            assert (frame.pixels == pixels).all()
            frame.pixels[:] = 255
            frame.original[:] = 255


def test_dry_frames_are_those_of_the_file(tmp_path, network):
    path = tmp_path / "dry.mp4"
    with SceneReader(height=72, width=128, seconds=0.8, rain=None) as reader:
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    plain, _ = read_all(path)
    with open_clean(str(path), derainer=network, keep_original=True) as frames:
        for frame, other in zip(frames, plain, strict=True):
            assert (frame.derained, frame.bypass) == (False, "dry")
            assert (frame.pixels == other.pixels).all()
            assert (frame.original == other.pixels).all()
            assert not np.shares_memory(frame.pixels, frame.original)


def test_the_originals_are_kept_where_they_are_asked_for(rainy, network):
    plain, _ = read_all(rainy)
    with open_clean(rainy, derainer=network, keep_original=True) as frames:
        for frame, other in zip(frames, plain, strict=True):
            assert (frame.original == other.pixels).all()


def test_what_is_known_of_a_recording_is_known_at_once(rainy, null):
    with open_clean(rainy, derainer=null) as frames:
        assert (frames.size, frames.fps, frames.frames) == ((72, 128), 25.0, 30)
        assert not frames.live
        assert frames.state == ("live", None)
        assert sum(1 for _ in frames) == 30
        assert frames.state == ("ended", None)
        assert frames.seconds == pytest.approx(29 / 25)
        assert not frames.problems
        assert next(frames, None) is None


def test_grabbed_frames_cost_no_network_and_are_remembered(rainy, network, monkeypatch):
    with open_clean(rainy, derainer=network, lookahead=0) as frames:
        expected = list(frames)[20].pixels
    runs = []
    run = network.run
    monkeypatch.setattr(network, "run", lambda *given: (runs.append(len(given[0])), run(*given))[1])
    with open_clean(rainy, derainer=network, lookahead=0) as frames:
        for _ in range(21):
            assert frames.grab()
        assert not runs
        assert np.abs(frames.retrieve().pixels.astype(int) - expected).max() <= 1
        assert runs == [1]  # nothing is read ahead for whoever skips
        assert frames.retrieve() is frames.retrieve()
        assert frames.position == 21


def test_any_frame_can_be_gone_to(rainy, network):
    with open_clean(rainy, derainer=network) as frames:
        every = list(frames)
        for index in (17, 0, 29, 3):
            assert frames.seek(index)
            assert frames.position == index
            found = next(frames)
            assert (found.index, found.pts) == (index, every[index].pts)
            assert frames.seconds == pytest.approx(index / 25)
            # The frames before are read again, from a key frame on: so it is nearly the same.
            error = found.pixels.astype(float) - every[index].pixels
            assert np.square(error).mean() < 2.0
        assert frames.seek(300)
        assert frames.position == 30
        assert next(frames, None) is None
        assert frames.seek(28)
        assert [frame.index for frame in frames] == [28, 29]


def test_a_recording_that_starts_late_is_gone_through_by_its_own_times(tmp_path, null):
    path = make_clip(tmp_path / "late.mkv", frames=20, time_base=Fraction(1, 1000),
                     pts=[5000 + 40 * at for at in range(20)])  # fmt: skip
    with open_clean(path, derainer=null) as frames:
        assert frames.seek(7)
        frame = next(frames)
        assert frame.index == 7
        assert frames.seconds == pytest.approx(0.28)


def test_damage_is_told_and_all_that_can_be_read_is_given(tmp_path, null, caplog):
    whole = make_clip(tmp_path / "whole.mkv", frames=40)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[:-2000])
    with open_clean(cut, derainer=null) as frames:
        count = sum(1 for _ in frames)
        assert 0 < count < 40
        assert "truncated" in frames.problems[0]
    assert "truncated" in caplog.text


def test_an_error_while_reading_ahead_comes_when_its_turn_does(rainy, null):
    class Failing(SceneReader):
        def __iter__(self):
            for index, frame in enumerate(super().__iter__()):
                if index == 3:
                    raise InputError("the disk is gone")
                yield frame

    from streamderain.api.feeds import RecordingFeed

    feed = RecordingFeed(Failing(height=48, width=64), gate=None, lookahead=None, batch=8)
    with CleanVideo(feed, null, owns=False) as frames:
        assert [next(frames).index for _ in range(3)] == [0, 1, 2]
        with pytest.raises(InputError, match="disk is gone"):
            next(frames)
        assert next(frames, None) is None


def test_whoever_leaves_early_leaves_no_thread_behind(rainy, null):
    frames = open_clean(rainy, derainer=null)
    next(frames)
    gone = weakref.ref(frames)
    assert threads_of(rainy)
    del frames
    gc.collect()
    assert gone() is None
    until(lambda: not threads_of(rainy))
    frames = open_clean("scene:dry?size=64x48", derainer=null)
    next(frames)
    assert threads_of("camera")
    del frames
    gc.collect()
    until(lambda: not threads_of("camera"))


def test_its_own_network_is_closed_with_it_and_a_shared_one_is_not(rainy, null):
    with open_clean(rainy, model="null") as frames:
        own = frames.derainer
    with pytest.raises(UsageError, match="closed"):
        own.derain(picture(4, 6))
    with open_clean(rainy, derainer=null):
        pass
    null.derain(picture(4, 6))


def test_another_thread_may_close_it(null):
    frames = open_clean("scene:dry?size=64x48&fps=1", derainer=null)
    next(frames)
    closing = threading.Timer(0.05, frames.close)
    closing.start()
    began = time.monotonic()
    assert sum(1 for _ in frames) <= 1
    assert time.monotonic() - began < 5
    closing.join()


@pytest.mark.parametrize(
    ("source", "settings", "error", "said"),
    [
        ("none.mp4", {}, InputError, "none.mp4"),
        ("ftp://here/a.mp4", {}, UsageError, "ftp://"),
        ("scene:hail", {}, UsageError, "scene:hail"),
        ("rtsp://127.0.0.1/x", {"live": False}, UsageError, "can't be read as a recording"),
        ("scene", {"lookahead": 5}, UsageError, "0 to 4"),
        ("scene", {"model": "nothing-like-it"}, ModelError, "nothing-like-it"),
    ],
)
def test_what_cannot_be_opened_is_a_sentence(source, settings, error, said):
    with pytest.raises(error, match=said):
        open_clean(source, **{"model": "null", **settings})


def test_a_model_and_a_derainer_are_one_too_many(rainy, null):
    with pytest.raises(UsageError, match="not both"):
        open_clean(rainy, model="null", derainer=null)


def test_the_number_of_a_webcam_is_its_device(null):
    with (
        open_clean(250, derainer=null, timeout=0.3) as frames,
        pytest.raises(InputError, match=r"/dev/video250"),
    ):
        next(frames)


def test_the_scene_is_a_camera_unless_told(null):
    with open_clean("scene:heavy?size=64x48", derainer=null) as frames:
        assert frames.live
        assert next(frames).bypass == "null"
    with open_clean("scene:heavy?size=64x48", derainer=null, live=False) as frames:
        assert [next(frames).index for _ in range(5)] == [0, 1, 2, 3, 4]


class Camera:
    """A source whose pictures come when a test says so."""

    damaged, notes = 0, ()

    def __init__(self):
        self.changed = threading.Condition()
        self.waiting = []
        self.over = False
        self.index = self.handed = 0
        self.notes = []

    def show(self, count=1, corrupt=False):
        """Show pictures, and wait until the reader took them all."""
        with self.changed:
            for _ in range(count):
                self.waiting.append((self.index, corrupt))
                self.index += 1
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: not self.waiting, 10)

    def __iter__(self):
        while True:
            with self.changed:
                self.changed.notify_all()
                self.changed.wait_for(lambda: self.waiting or self.over, 10)
                if not self.waiting:
                    return
                index, corrupt = self.waiting[0]
            yield Captured(
                0, index, Fraction(1, 25), CaptureTime(index * 40_000_000, "pts"), corrupt,
                lambda index=index: picture(48, 64, index),
            )  # fmt: skip
            with self.changed:
                self.waiting.pop(0)

    def end(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()

    close = end

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.end()


def live_video(connect, derainer, **settings):
    feed = CameraFeed(
        "gate", "rtsp://gate", connect, gate=None, remembers=derainer.remembers, bypass=None,
        ends=settings.pop("ends", False),
    )  # fmt: skip
    return CleanVideo(feed, derainer, owns=False, **settings)


def test_a_camera_gives_its_newest_frame_and_says_what_was_left_out(null):
    camera = Camera()
    with live_video(lambda: camera, null) as frames:
        camera.show()
        assert next(frames).index == 0
        camera.show(4)
        frame = next(frames)
        assert (frame.index, frame.decoded, frame.dropped) == (4, 5, {"newer": 3})
        camera.show(2)
        frame = next(frames)
        assert (frame.index, frame.decoded, frame.dropped) == (6, 7, {"newer": 1})
        assert frames.size == (48, 64)
        assert frames.fps == pytest.approx(25)
        assert frames.state == ("live", None)
        assert not frames.seek(0)
        camera.end()


def test_the_past_of_a_camera_holds_the_frames_that_nobody_took(network):
    camera, careful = Camera(), Camera()
    with (
        live_video(lambda: camera, network, staleness=None) as frames,
        live_video(lambda: careful, network, staleness=None) as every,
    ):
        for _ in range(8):
            careful.show()
            expected = next(every)
        camera.show(8)
        assert (next(frames).pixels == expected.pixels).all()


def test_damaged_frames_of_a_camera_pass_as_they_came(network):
    camera = Camera()
    with live_video(lambda: camera, network) as frames:
        camera.show(corrupt=True)
        frame = next(frames)
        assert (frame.bypass, frame.derained) == ("corrupt", False)
        assert (frame.pixels == picture(48, 64)).all()


def test_overload_never_blinds_a_detector(network, monkeypatch):
    """Where the network takes too long, frames come as they are, but for one in five seconds."""
    now = [100.0]
    run = network.run

    def slow(*given):
        now[0] += 0.6
        return run(*given)

    monkeypatch.setattr(network, "run", slow)
    camera = Camera()
    with live_video(lambda: camera, network, staleness=0.5, clock=lambda: now[0]) as frames:
        seen = []
        for _ in range(8):
            camera.show()
            frame = next(frames)
            seen.append(frame.derained)
            if not frame.derained:
                assert frame.bypass == "overload"
                assert (frame.pixels == picture(48, 64, frame.index)).all()
        # The first runs of a size tell nothing: runtimes prepare themselves in them.
        assert seen == 3 * [True] + 5 * [False]
        now[0] += 5
        camera.show()
        assert next(frames).derained


def test_a_lost_camera_is_connected_to_again(null):
    cameras = [Camera(), Camera()]
    waiting = list(cameras)
    with live_video(lambda: waiting.pop(0), null) as frames:
        cameras[0].show()
        assert next(frames).session == 0
        cameras[0].end()
        shows = threading.Thread(target=cameras[1].show)
        shows.start()
        frame = next(frames)
        shows.join()
        assert (frame.session, frame.index, frame.decoded) == (1, 0, 2)


def test_a_refused_password_is_told_at_once(null):
    def refuse():
        raise SourceRefusedError("rtsp://gate refuses the user and password")

    with live_video(refuse, null) as frames, pytest.raises(InputError, match="refuses"):
        next(frames)


def test_a_camera_that_is_down_is_an_error_only_after_the_timeout(null):
    def down():
        raise SourceLostError("rtsp://gate can't be reached")

    with (
        live_video(down, null, timeout=0.3) as frames,
        pytest.raises(InputError, match=r"no frame of rtsp://gate for 0.3 s: .*can't be reached"),
    ):
        next(frames)


def test_a_file_played_as_a_camera_comes_to_its_end(tmp_path, null):
    clip = make_clip(tmp_path / "clip.mp4", frames=6)
    with open_clean(clip, derainer=null, live=True, timeout=20) as frames:
        found = list(frames)
    assert found[-1].index == 5
    assert sum(1 + sum(frame.dropped.values()) for frame in found) == 6


def test_a_missing_file_played_as_a_camera_is_told(null):
    with (
        open_clean("none.mp4", derainer=null, live=True) as frames,
        pytest.raises(InputError, match=r"none\.mp4"),
    ):
        next(frames)
