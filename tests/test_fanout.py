"""One source, several targets, each with its own view."""

from fractions import Fraction

import numpy as np
import pytest

from streamderain.errors import OutputError
from streamderain.frame import Frame
from streamderain.writers.fanout import FanOutWriter


class Recorder:
    def __init__(self, note=None, *, full=False):
        self.notes = [note] if note else []
        self.frames, self.full = 0, full
        self.seen, self.state = [], "open"

    def write(self, frame):
        self.seen.append(int(frame.pixels[0, 0, 0]))

    def finish(self):
        if self.full:
            raise OutputError("no room left")
        self.state = "finished"

    def abandon(self):
        if self.state == "open":
            self.state = "abandoned"


def frame(value):
    return Frame("c", 0, 0, 0, Fraction(1), np.full((2, 2, 3), value, np.uint8))


def plus_one(item):
    return frame(int(item.pixels[0, 0, 0]) + 1)


def test_each_target_sees_the_frame_as_its_view_shows_it():
    plain, changed = Recorder(), Recorder()
    writer = FanOutWriter([(plain, lambda item: item), (changed, plus_one)])
    for value in (10, 20):
        writer.write(frame(value))
    writer.finish()
    assert (plain.seen, changed.seen) == ([10, 20], [11, 21])
    assert writer.frames == 2
    assert plain.state == changed.state == "finished"


def test_a_note_that_several_targets_make_is_told_once():
    targets = [Recorder("no chapters"), Recorder("no chapters"), Recorder("no fonts")]
    writer = FanOutWriter([(target, plus_one) for target in targets])
    assert writer.notes == ["no chapters", "no fonts"]


def test_where_one_target_fails_the_rest_are_abandoned():
    full, waiting = Recorder(full=True), Recorder()
    writer = FanOutWriter([(full, plus_one), (waiting, plus_one)])
    with pytest.raises(OutputError):
        writer.finish()
    writer.abandon()
    assert full.state == waiting.state == "abandoned"
