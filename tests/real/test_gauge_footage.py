"""The rain gauge on real footage: dry clips are left alone, real and synthetic rain is not."""

from fractions import Fraction

import cv2
import pytest

from streamderain.frame import Frame
from streamderain.inference.gating import judged
from streamderain.rain.simulate import PRESETS, RainSimulator
from streamderain.readers.pictures import read_picture
from streamderain.readers.video import VideoFileReader
from tests.real.data import footage

CLIPS = ("bikes", "car-detection", "one-by-one-person-detection")


def derained_share(frames):
    wanted = [frame.bypass is None for frame in judged(frames)]
    return sum(wanted) / len(wanted)


def as_frames(pictures):
    for index, pixels in enumerate(pictures):
        yield Frame("clip", 0, index, index, Fraction(1, 25), pixels)


@pytest.mark.parametrize("name", CLIPS)
def test_dry_recordings_pass_bit_for_bit(name):
    with VideoFileReader(footage(f"video/clean/{name}.mp4"), duration=20) as reader:
        assert derained_share(reader) <= 0.01


@pytest.mark.parametrize("width", [320, 480, 640, 960, 1280, 1920])
def test_real_rain_before_a_camera_that_pans_is_derained_at_any_size(width):
    folder = footage("video/real-rain/ra1")
    pictures = [read_picture(path)[0] for path in sorted(folder.glob("*.jpg"))]
    assert len(pictures) > 50
    size = width, width * 3 // 4
    method = cv2.INTER_AREA if width < 640 else cv2.INTER_CUBIC
    scaled = (cv2.resize(picture, size, interpolation=method) for picture in pictures)
    assert derained_share(as_frames(scaled)) >= 0.98


@pytest.mark.parametrize("rain", ["light", "moderate", "heavy"])
@pytest.mark.parametrize("name", CLIPS)
def test_rain_over_recordings_is_derained(name, rain):
    with VideoFileReader(footage(f"video/clean/{name}.mp4"), duration=2) as reader:
        clean = [frame.pixels for frame in reader]
    simulator = RainSimulator(*clean[0].shape[:2], PRESETS[rain], seed=3)
    assert derained_share(as_frames(map(simulator.rain_on, clean))) >= 0.98
