"""Grey pictures, as of infrared cameras, come out grey whatever the network makes of them."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.inference.backend import NullBackend
from streamderain.inference.grey import TINT, greyed, is_grey
from streamderain.inference.running import derain
from streamderain.readers.video import VideoFileReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import picture

COLOURED = picture(70, 90, 2)
GREY = COLOURED[..., :1].repeat(3, axis=2)


class Tinting(NullBackend):
    """A network that takes another number of levels off each channel."""

    def run(self, frames):
        return frames - np.array([3, 6, 9], np.uint8)


class Apart(Tinting):
    """The same, of frames that are not stacked."""

    takes_apart = True

    def run_apart(self, pictures, priors):
        return self.run(np.stack(pictures))


@pytest.mark.parametrize("backend", [Tinting(), Apart()])
def test_what_is_made_of_a_grey_picture_is_the_mean_of_the_channels(backend):
    grey, coloured = derain(backend, [GREY, COLOURED])
    assert np.array_equal(grey, GREY - 6)
    assert np.array_equal(coloured, COLOURED - np.array([3, 6, 9], np.uint8))


def test_a_single_coloured_pixel_makes_a_picture_coloured():
    assert is_grey(GREY)
    for place in ((0, 0, 0), (17, 31, 1), (69, 89, 2)):
        spotted = GREY.copy()
        spotted[place] += TINT
        assert is_grey(spotted)
        spotted[place] += 1
        assert not is_grey(spotted)


def test_a_grey_picture_keeps_the_tint_that_it_has():
    tinted = GREY + np.array([0, 1, 3], np.uint8)
    (found,) = derain(Tinting(), [tinted])
    assert np.array_equal(found, tinted - 6)


def test_what_is_taken_off_ends_at_black():
    dark = np.full((20, 30, 3), 2, np.uint8)
    found = greyed(np.zeros((1, 20, 30, 3), np.uint8), [dark + np.array([0, 0, 3], np.uint8)])
    assert (found[0] == (0, 0, 2)).all()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
@settings(max_examples=40)
def test_grey_pictures_of_any_size_stay_as_they_are(height, width, seed):
    rng = np.random.default_rng(seed)
    grey = rng.integers(0, 256, (height, width, 1), dtype=np.uint8).repeat(3, axis=2)
    assert is_grey(grey)
    assert np.array_equal(greyed(grey[None].copy(), [grey])[0], grey)


def test_what_can_not_be_written_to_is_copied():
    fixed = np.stack([COLOURED])
    fixed.flags.writeable = False
    found = greyed(fixed, [GREY])
    assert is_grey(found[0])
    assert np.array_equal(fixed[0], COLOURED)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p"])
def test_an_infrared_recording_is_read_as_grey_and_stays_as_grey(tmp_path, pixel_format):
    source, target = tmp_path / "infrared.mp4", tmp_path / "out.mp4"
    with av.open(str(source), "w") as output:
        video = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 96, 64, pixel_format
        for index in range(4):
            shown = picture(64, 96, index)[..., :1].repeat(3, axis=2)
            output.mux(video.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        output.mux(video.encode())
    with VideoFileReader(source) as reader:
        frames = list(reader)
        writer = VideoFileWriter(target, reader.format)
        for frame in frames:
            assert is_grey(frame.pixels)
            before = np.ptp(frame.pixels, axis=2).max()
            frame.pixels = derain(Tinting(), [frame.pixels])[0]
            assert np.ptp(frame.pixels, axis=2).max() == before
            writer.write(frame)
        writer.finish()
    if pixel_format == "yuv420p":  # FFmpeg's own way to the other one isn't quite neutral
        with VideoFileReader(target) as reader:
            written = [frame.pixels for frame in reader]
        assert len(written) == 4
        assert not any(np.ptp(pixels, axis=2).any() for pixels in written)
