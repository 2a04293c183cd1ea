"""Raw frames on standard input and output."""

import io
from fractions import Fraction

import numpy as np
import pytest

from streamderain.errors import InputError, OutputError, UsageError
from streamderain.frame import Frame, SourceFormat
from streamderain.readers.raw import RawReader
from streamderain.writers.raw import RawWriter


class Dribble(io.RawIOBase):
    """A pipe that gives a few bytes at a time, as pipes do."""

    def __init__(self, data, step=7):
        self.data, self.step = io.BytesIO(data), step

    def readinto(self, buffer):
        chunk = self.data.read(min(self.step, len(buffer)))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def noise(count, height=3, width=5):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def read(data, **options):
    reader = RawReader(Dribble(data), 3, 5, Fraction(25), **options)
    return list(reader), reader


def test_frames_come_out_as_they_went_in_with_times():
    pictures = noise(4)
    frames, reader = read(pictures.tobytes())
    assert np.array_equal(np.stack([frame.pixels for frame in frames]), pictures)
    assert [frame.pts * frame.time_base for frame in frames] == [Fraction(i, 25) for i in range(4)]
    assert reader.problems == []


def test_a_limit_leaves_the_rest_in_the_pipe():
    frames, _ = read(noise(4).tobytes(), limit=2)
    assert len(frames) == 2


def test_a_pipe_that_ends_within_a_frame_is_a_problem_but_loses_no_whole_frame():
    frames, reader = read(noise(4).tobytes()[:-1])
    assert len(frames) == 3
    assert "in the middle of a frame" in reader.problems[0]


def test_an_empty_pipe_is_an_error():
    with pytest.raises(InputError, match="before the first frame"):
        read(b"")


def test_sizes_and_rates_must_be_above_zero():
    with pytest.raises(UsageError):
        RawReader(io.BytesIO(), 0, 5, Fraction(25))
    with pytest.raises(UsageError):
        RawReader(io.BytesIO(), 3, 5, Fraction(0))


def frame_of(pixels, index=0):
    return Frame("x", 0, index, index, Fraction(1, 25), pixels)


def test_the_writer_writes_the_bytes_of_each_frame():
    stream, pictures = io.BytesIO(), noise(2)
    writer = RawWriter(stream, SourceFormat(3, 5))
    for picture in pictures:
        writer.write(frame_of(picture))
    writer.finish()
    assert stream.getvalue() == pictures.tobytes()
    assert writer.frames == 2


def test_a_closed_pipe_is_one_sentence():
    class Closed(io.RawIOBase):
        def write(self, data):
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(OutputError, match="standard output was closed after 0 frames"):
        RawWriter(Closed(), SourceFormat(3, 5)).write(frame_of(noise(1)[0]))


def test_a_change_of_size_is_refused():
    writer = RawWriter(io.BytesIO(), SourceFormat(3, 5))
    with pytest.raises(OutputError, match="size changed"):
        writer.write(frame_of(noise(1, 4, 5)[0]))
