"""Order statistics by sorting networks, against numpy's sort."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.inference.ordering import comparators, ranked


@given(st.integers(1, 16), st.data(), st.integers(0, 2**31))
def test_ranks_are_those_of_a_sort(count, data, seed):
    ranks = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4))
    shape = data.draw(st.sampled_from([(1, 1), (7, 5, 3), (700, 101), (3, 40_000, 3)]))
    rng = np.random.default_rng(seed)
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
    copies = [picture.copy() for picture in pictures]
    expected = np.sort(np.stack(pictures), axis=0)
    for rank, found in zip(ranks, ranked(pictures, ranks), strict=True):
        assert np.array_equal(found, expected[rank])
    for picture, copy in zip(pictures, copies, strict=True):
        assert np.array_equal(picture, copy)


def test_what_nobody_asks_for_is_not_computed():
    assert len(comparators(9, (4,))) < len(comparators(9, tuple(range(9))))
    halves = [(low, high) for *_, low, high in comparators(9, (4,))]
    assert any(low != high for low, high in halves)


def test_views_are_taken_and_results_go_where_they_are_wanted():
    base = np.arange(60, dtype=np.uint8).reshape(6, 10)
    out = [np.zeros((4, 8), np.uint8)]
    found = ranked([base[1:5, 1:9], base[2:6, 2:10], base[0:4, 0:8]], [1], out)
    assert found[0] is out[0]
    assert np.array_equal(found[0], base[1:5, 1:9])


@pytest.mark.parametrize(("count", "ranks"), [(3, (3,)), (3, (-1,)), (3, ())])
def test_a_rank_that_is_none_is_refused(count, ranks):
    with pytest.raises(ValueError, match="ranks"):
        comparators(count, ranks)
