"""Which frames go through the network together."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.frame import Frame
from streamderain.inference.batching import MAX_BATCH, FrameBatcher, choose_batch


def frame(index, height=2, width=3):
    return Frame("cam", 0, index, index, Fraction(1, 25), np.zeros((height, width, 3), np.uint8))


@given(st.lists(st.sampled_from([(2, 3), (3, 2), (4, 4)]), max_size=40), st.integers(1, 7))
def test_every_frame_comes_out_once_in_order_with_its_like(sizes, batch):
    batcher = FrameBatcher(batch)
    groups = [
        group
        for index, (height, width) in enumerate(sizes)
        for group in batcher.add(frame(index, height, width))
    ]
    groups.append(batcher.flush())
    assert [item.index for group in groups for item in group] == list(range(len(sizes)))
    assert all(len({item.size for item in group}) <= 1 for group in groups)
    assert all(len(group) <= batch for group in groups)
    assert batcher.flush() == []


def test_a_full_group_is_given_at_once():
    batcher = FrameBatcher(3)
    assert [len(batcher.add(frame(index))) for index in range(6)] == [0, 0, 1, 0, 0, 1]


def test_a_change_of_size_ends_a_group_early():
    batcher = FrameBatcher(4)
    batcher.add(frame(0))
    batcher.add(frame(1))
    ((first, second),) = batcher.add(frame(2, height=8))
    assert (first.index, second.index) == (0, 1)
    assert [item.index for item in batcher.flush()] == [2]


def test_a_change_of_size_with_groups_of_one_loses_nothing():
    batcher = FrameBatcher(1)
    assert [item.index for group in batcher.add(frame(0)) for item in group] == [0]
    assert [item.index for group in batcher.add(frame(1, height=9)) for item in group] == [1]


def test_a_batch_of_none_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        FrameBatcher(0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_larger_frames_never_make_larger_batches(device):
    chosen = [choose_batch(device, side, side) for side in (1, 90, 180, 360, 720, 1080, 4320)]
    assert chosen == sorted(chosen, reverse=True)
    assert chosen[0] == MAX_BATCH
    assert chosen[-1] == 1


def test_a_cpu_runs_frames_of_video_size_one_by_one():
    assert choose_batch("cpu", 360, 640) == 1
    assert choose_batch("cpu", 360, 640, lanes=4) == 4
    assert choose_batch("cpu", 90, 160, lanes=4) == choose_batch("cpu", 90, 160)
    assert choose_batch("cuda", 360, 640) > 1
