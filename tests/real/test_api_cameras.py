"""``open_clean`` and ``VideoCapture`` with a real camera of RTSP that goes away and comes back."""

import cv2
import pytest

from streamderain import Derainer, VideoCapture, open_clean
from streamderain.errors import InputError
from tests.real.servers import RtspCameras, need_gstreamer


@pytest.fixture(scope="module")
def null():
    with Derainer("null") as derainer:
        yield derainer


def test_a_camera_is_read_newest_first_and_found_again_after_a_power_cut(null):
    need_gstreamer()
    with (
        RtspCameras(gate={}) as cameras,
        open_clean(cameras.url("gate"), derainer=null, timeout=60) as frames,
    ):
        first = next(frames)
        assert first.pixels.shape == (240, 320, 3)
        seen = [next(frames) for _ in range(20)]
        assert seen[-1].session == first.session == 0
        counted = seen[-1].decoded - first.decoded
        assert counted == len(seen) + sum(sum(frame.dropped.values()) for frame in seen)
        assert frames.fps == pytest.approx(25, abs=3)
        cameras.kill()
        cameras.start()
        after = next(frame for frame in frames if frame.session > 0)
        assert after.pixels.shape == (240, 320, 3)
        assert after.decoded > seen[-1].decoded


def test_a_wrong_password_and_a_wrong_path_are_told_at_once(null):
    need_gstreamer()
    with RtspCameras(gate={"user": "viewer", "password": "right"}) as cameras:
        with (
            open_clean(
                cameras.url("gate"), derainer=null, user="viewer", password="wrong"
            ) as frames,
            pytest.raises(InputError, match="refuses the user and password"),
        ):
            next(frames)
        with open_clean(
            cameras.url("gate"), derainer=null, user="viewer", password="right", timeout=60
        ) as frames:
            assert next(frames).size == (240, 320)
    with (
        RtspCameras(gate={}) as cameras,
        open_clean(cameras.url("gate") + "/elsewhere", derainer=null) as frames,
        pytest.raises(InputError, match="has no stream"),
    ):
        next(frames)


def test_a_capture_of_a_camera_has_what_opencv_has():
    need_gstreamer()
    with RtspCameras(gate={}) as cameras:
        capture = VideoCapture(cameras.url("gate"), model="null")
        assert capture.isOpened(), capture.error
        assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(4)) == (320, 240)
        assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(25, abs=3)
        for _ in range(5):
            ok, frame = capture.read()
            assert ok
            assert frame.shape == (240, 320, 3)
        capture.set(cv2.CAP_PROP_READ_TIMEOUT_MSEC, 300)
        cameras.kill()
        while capture.read()[0]:
            pass
        assert "no frame" in capture.error
        assert capture.isOpened()  # it goes on looking for it
        capture.release()
