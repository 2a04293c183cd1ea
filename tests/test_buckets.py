"""Batches of few sizes, and which shapes are recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.inference.buckets import LARGEST, Bucket, ShapeBook, fill, split_into_buckets


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, []), (1, [1]), (2, [2]), (3, [4]), (4, [4]), (5, [4, 1]), (6, [8]), (7, [8]), (8, [8]),
        (9, [8, 1]), (11, [8, 4]), (12, [16]), (16, [16]), (17, [16, 1]), (33, [16, 16, 1]),
    ],
)  # fmt: skip
def test_a_batch_becomes_runs_of_few_sizes(count, sizes):
    assert [bucket.size for bucket in split_into_buckets(count)] == sizes


@given(st.integers(0, 300), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_every_frame_is_in_one_run_in_order(count, largest):
    buckets = split_into_buckets(count, largest)
    frames = [bucket.start + n for bucket in buckets for n in range(bucket.used)]
    assert frames == list(range(count))
    for bucket in buckets:
        assert 1 <= bucket.used <= bucket.size <= largest
        assert bucket.size.bit_count() == 1
        assert bucket.size - bucket.used <= bucket.size / 4


@pytest.mark.parametrize(("count", "largest"), [(-1, 16), (1, 0), (1, 12)])
def test_what_makes_no_sense_is_refused(count, largest):
    with pytest.raises(ValueError, match="can't be split"):
        split_into_buckets(count, largest)


def test_padding_repeats_the_last_frame():
    frames = np.arange(5, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 2, 3, 3), np.uint8)
    into = np.full((4, 2, 3, 3), 99, np.uint8)
    fill(frames, Bucket(1, 3, 4), into)
    assert into[:, 0, 0, 0].tolist() == [1, 2, 3, 3]


def test_a_shape_is_recorded_when_it_has_come_often_enough():
    book = ShapeBook(most=2, plain_runs=2)
    a, b, c = (1, 4, 4, 3), (2, 4, 4, 3), (1, 8, 8, 3)
    assert [book.graph_of(a) for _ in range(4)] == [None, None, 1, 1]
    assert [book.graph_of(b) for _ in range(3)] == [None, None, 2]
    assert [book.graph_of(c) for _ in range(9)] == [None] * 9  # no room for a third
    assert (book.graph_of(a), book.graph_of(b)) == (1, 2)


def test_frames_of_ever_other_sizes_do_not_fill_the_book():
    book = ShapeBook()
    for width in range(5000):
        assert book.graph_of((1, 10, width, 3)) is None
    assert len(book._runs) <= 8 * 12
    assert LARGEST == 16
