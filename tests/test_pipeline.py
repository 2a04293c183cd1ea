"""The three stages joined: order, ends, errors."""

import threading
from fractions import Fraction

import numpy as np
import pytest

from streamderain.errors import InputError, OutputError
from streamderain.frame import Frame, SourceFormat
from streamderain.pipeline import Pipeline, channel_capacity


class ListReader:
    """Gives frames whose pixels are their index."""

    name = "list"

    def __init__(self, count, error_after=None):
        self.count, self.error_after = count, error_after
        self.format = SourceFormat(4, 6, frame_rate=Fraction(25), time_base=Fraction(1, 25))
        self.problems, self.corrupt_frames = [], 0
        self.given, self.closed = 0, False

    def __iter__(self):
        for index in range(self.count):
            if index == self.error_after:
                raise InputError("the source broke")
            self.given += 1
            pixels = np.full((4, 6, 3), index % 256, np.uint8)
            yield Frame("list", 0, index, index, Fraction(1, 25), pixels)

    def close(self):
        self.closed = True


class ListWriter:
    def __init__(self, error_at=None):
        self.error_at = error_at
        self.notes, self.written = [], []
        self.finished = self.abandoned = False

    @property
    def frames(self):
        return len(self.written)

    def write(self, frame):
        if len(self.written) == self.error_at:
            raise OutputError("the disk is full")
        self.written.append(frame)

    def finish(self):
        self.finished = True

    def abandon(self):
        self.abandoned = True


class OneStep:
    @property
    def steps(self):
        return (("infer", self.process),)


class Marker(OneStep):
    """Marks every second frame as derained."""

    def process(self, frames):
        for frame in frames:
            frame.derained = frame.index % 2 == 0
            frame.bypass = None if frame.derained else "odd"
            yield frame


def test_every_frame_arrives_once_and_in_order():
    reader, writer = ListReader(100), ListWriter()
    result = Pipeline(reader, Marker(), writer).run()
    assert [frame.index for frame in writer.written] == list(range(100))
    assert (result.decoded, result.written, result.derained) == (100, 100, 50)
    assert result.bypassed == {"odd": 50}
    assert writer.finished
    assert not writer.abandoned
    assert reader.closed


def test_frames_are_conserved_by_reason():
    result = Pipeline(ListReader(33), Marker(), ListWriter()).run()
    assert result.decoded == result.derained + sum(result.bypassed.values())


def test_an_error_of_the_reader_abandons_the_target():
    reader, writer = ListReader(100, error_after=10), ListWriter()
    with pytest.raises(InputError, match="the source broke"):
        Pipeline(reader, Marker(), writer).run()
    assert writer.abandoned
    assert not writer.finished
    assert reader.closed


def test_an_error_of_the_writer_stops_the_reader_early():
    reader, writer = ListReader(100_000), ListWriter(error_at=3)
    with pytest.raises(OutputError, match="disk is full"):
        Pipeline(reader, Marker(), writer).run()
    assert writer.abandoned
    assert reader.given < 1000


def test_an_error_of_the_network_is_raised_as_it_came():
    class Broken(OneStep):
        def process(self, frames):
            for _ in frames:
                raise RuntimeError("out of memory")
            yield from ()

    writer = ListWriter()
    with pytest.raises(RuntimeError, match="out of memory"):
        Pipeline(ListReader(10), Broken(), writer).run()
    assert writer.abandoned


def test_an_interruption_abandons_the_target(monkeypatch):
    writer = ListWriter()
    release = threading.Event()

    class Waiting(OneStep):
        def process(self, frames):
            for frame in frames:
                release.wait(5)
                yield frame

    pipeline = Pipeline(ListReader(10), Waiting(), writer)
    original = threading.Thread.join
    interrupted = []

    def join(thread, timeout=None):
        if not interrupted:
            interrupted.append(True)
            release.set()
            raise KeyboardInterrupt
        original(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", join)
    with pytest.raises(KeyboardInterrupt):
        pipeline.run()
    assert writer.abandoned
    assert not writer.finished


def test_progress_is_told_of_every_frame_written():
    told = []
    Pipeline(ListReader(7), Marker(), ListWriter(), progress=told.append).run()
    assert told == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("frame_bytes", "batch", "expected"),
    [(640 * 360 * 3, 1, 4), (640 * 360 * 3, 8, 16), (3840 * 2160 * 3, 8, 8), (10**9, 8, 2)],
)
def test_channels_hold_two_batches_within_the_memory_budget(frame_bytes, batch, expected):
    assert channel_capacity(frame_bytes, batch) == expected
