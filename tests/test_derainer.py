"""The inference stage: what it cleans, what it passes through, and that it loses nothing."""

import weakref
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.errors import InputError, ModelError, ModelMemoryError
from streamderain.frame import Frame
from streamderain.inference.backend import NullBackend
from streamderain.inference.derainer import Derainer
from streamderain.models import ModelInfo


class Darkener:
    """A backend that takes one level off, and remembers the batches it was given."""

    name = "darkener"
    device = "cpu"
    lanes = 1
    inputs = 3
    notes = ()
    model = ModelInfo(name="darkener", path=None)

    def __init__(self):
        self.batches = []

    def run(self, frames):
        self.batches.append(frames.shape)
        return frames - 1


class Ahead(Darkener):
    """One that begins a batch before the one ahead of it is done; it notes the order of things.

    Args:
        fits: frames that it has memory for at once.
    """

    def can_start(self, count, height, width):
        return True

    def __init__(self, fits=100):
        super().__init__()
        self.log, self.fits = [], fits

    def start(self, frames):
        number = sum(what == "start" for what, _ in self.log)
        self.log.append(("start", number))
        if len(frames) > 2 * self.fits:
            raise ModelMemoryError("there is no memory to begin")

        def finish():
            self.log.append(("finish", number))
            return self.run(frames)

        return finish

    def run(self, frames):
        if len(frames) > self.fits:
            raise ModelMemoryError("there is no memory")
        return super().run(frames)


def frame(index, *, size=(4, 6), corrupt=False):
    pixels = np.full((*size, 3), 100, np.uint8)
    return Frame("cam", 0, index, index, Fraction(1, 25), pixels, corrupt=corrupt)


def test_consecutive_frames_go_through_in_batches_and_the_rest_at_the_end():
    backend = Darkener()
    out = list(Derainer(backend, batch=4).process(frame(i) for i in range(10)))
    assert [shape[0] for shape in backend.batches] == [4, 4, 2]
    assert [item.index for item in out] == list(range(10))
    assert all(item.derained and item.model == "darkener" for item in out)
    assert all((item.pixels == 99).all() for item in out)


def test_the_next_batch_begins_before_one_is_done_where_the_backend_can():
    backend = Ahead()
    given = []

    def frames():
        for index in range(6):
            given.append(index)
            yield frame(index, corrupt=index == 3)

    cleaned = Derainer(backend, batch=2).process(frames())
    first = next(cleaned)
    assert (first.index, given[-1]) == (0, 3)  # two batches were taken before one was given
    out = [first, *cleaned]
    assert [item.index for item in out] == list(range(6))
    assert [item.derained for item in out] == [True, True, True, False, True, True]
    assert all((item.pixels == 99).all() for item in out if item.derained)
    assert backend.log == [
        ("start", 0), ("start", 1), ("finish", 0), ("start", 2), ("finish", 1), ("finish", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("fits", [3, 1])  # it fails at the end, or to begin with
def test_what_memory_does_not_suffice_for_runs_in_portions_and_is_begun_no_more(fits):
    backend = Ahead(fits)
    frames = [frame(index, size=(96, 200)) for index in range(12)]
    out = list(Derainer(backend, batch=4).process(frames))
    assert [item.index for item in out] == list(range(12))
    assert all(item.derained and (item.pixels == 99).all() for item in out)
    assert {shape[0] for shape in backend.batches} <= {1, 2}
    assert len([what for what, _ in backend.log if what == "start"]) <= 2


def test_what_came_before_a_failure_comes_out():
    class Failing(Ahead):
        def start(self, frames):
            if (frames == 104).any():
                raise ModelError("not this one")
            return super().start(frames)

    def frames(until):
        for index in range(until):
            item = frame(index)
            item.pixels[...] = 100 + index
            yield item
        raise InputError("the file ends here")

    for until, error in ((6, ModelError), (4, InputError)):
        came = []
        with pytest.raises(error):  # the network fails at the fifth frame, the reader after four
            for item in Derainer(Failing(), batch=2).clean(frames(until)):
                came.append(item.index)
        assert came == [0, 1, 2, 3]


def test_a_batch_that_would_not_be_under_way_is_run_when_those_ahead_are_out():
    class Sometimes(Ahead):
        def can_start(self, count, height, width):
            return count > 1

    backend = Sometimes()
    out = list(Derainer(backend, batch=2).process(frame(i) for i in range(5)))
    assert [item.index for item in out] == list(range(5))
    assert [what for what, _ in backend.log] == ["start", "start", "finish", "finish"]
    assert [shape[0] for shape in backend.batches] == [2, 2, 1]


def test_what_failed_holds_no_memory_while_it_is_run_in_portions():
    class Held:
        """What a batch under way has of the network."""

    class Keeping(Ahead):
        held = None

        def start(self, frames):
            held = Held()
            type(self).held = weakref.ref(held)

            def finish():
                assert held is not None
                raise ModelMemoryError("there is no memory")

            return finish

        def run(self, frames):
            assert self.held() is None
            return super().run(frames)

    backend = Keeping(fits=1)
    out = list(Derainer(backend, batch=2).process(frame(i, size=(96, 200)) for i in range(2)))
    assert [item.derained for item in out] == [True, True]
    assert backend.batches


def test_a_corrupt_frame_passes_as_it_came_and_keeps_its_place():
    backend = Darkener()
    frames = [frame(0), frame(1, corrupt=True), frame(2)]
    out = list(Derainer(backend, batch=3).process(frames))
    assert [item.derained for item in out] == [True, False, True]
    assert out[1].bypass == "corrupt"
    assert (out[1].pixels == 100).all()
    assert backend.batches == [(2, 4, 6, 3)]


def test_the_null_model_bypasses_every_frame_by_name():
    out = list(Derainer(NullBackend(), batch=2).process(frame(i) for i in range(3)))
    assert [(item.derained, item.bypass) for item in out] == [(False, "null")] * 3


def test_the_original_is_kept_only_where_it_is_asked_for():
    (without,) = Derainer(Darkener()).process([frame(0)])
    (kept,) = Derainer(Darkener(), keep_original=True).process([frame(0)])
    assert without.original is None
    assert kept.original is not None
    assert (kept.original == 100).all()
    assert (kept.pixels == 99).all()


@given(
    st.lists(st.tuples(st.sampled_from([(4, 6), (6, 4)]), st.booleans()), max_size=30),
    st.integers(1, 5),
)
def test_frames_of_any_sizes_come_out_once_and_in_order(kinds, batch):
    backend = Darkener()
    frames = [frame(i, size=size, corrupt=bad) for i, (size, bad) in enumerate(kinds)]
    out = list(Derainer(backend, batch=batch).process(frames))
    assert [item.index for item in out] == list(range(len(kinds)))
    assert sum(shape[0] for shape in backend.batches) == sum(not bad for _, bad in kinds)
    assert all(item.derained != (item.bypass is not None) for item in out)


@pytest.mark.parametrize(("asked", "found"), [(3, 3), (None, 4)])
def test_the_batch_is_as_asked_or_by_the_size_of_the_frames(asked, found):
    assert Derainer(Darkener(), batch=asked).batch_for(120, 240) == found
