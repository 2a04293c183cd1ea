"""Batches across cameras: full or due, fair, of one size, and never hopeless."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.inference.cost import LEFT_OUT, CostModel
from streamderain.inference.sharing import PROBE_S, CameraBatcher

SMALL, LARGE = (4, 6), (8, 12)


@dataclass(frozen=True)
class Waiting:
    camera: str
    index: int
    size: tuple[int, int] = SMALL
    arrived: float = 0.0
    deadline: float | None = None


def queue(camera, count, **settings):
    return [Waiting(camera, index, **settings) for index in range(count)]


def batcher(limit=4, wait_s=0.0, cost=None):
    return CameraBatcher(lambda height, width: limit, wait_s, cost or CostModel())


def names(choice):
    return [f"{item.camera}{item.index}" for item in choice.batch]


def knowing(size, frames, seconds):
    """Return a cost model after its first runs, of which the very first ones don't count."""
    cost = CostModel()
    for _ in range(LEFT_OUT):
        cost.observe(size, frames, 1000 * seconds)
    cost.observe(size, frames, seconds)
    return cost


def test_a_full_batch_leaves_at_once():
    assert names(batcher(4, wait_s=1.0).choose({"a": queue("a", 4)}, 0.0)) == [
        "a0", "a1", "a2", "a3",
    ]  # fmt: skip


def with_neighbour(*arrivals, wait_s=0.01, size=SMALL):
    """A batcher that has seen frames of another camera come and go."""
    here = batcher(4, wait_s=wait_s)
    for at in arrivals:
        here.choose({"other": queue("other", 1, arrived=at, size=size)}, at)
    return here


def test_a_partial_batch_waits_for_another_camera_and_no_longer():
    here, queues = with_neighbour(4.925, 4.965), {"a": queue("a", 1, arrived=5.0)}
    early = here.choose(queues, 5.0)  # the other one's is due at 5.005
    assert (early.batch, early.wake) == ([], pytest.approx(5.01))
    both = {**queues, "other": queue("other", 1, arrived=5.005)}
    assert names(here.choose(both, 5.005)) == ["a0", "other0"]  # nobody else will come
    here = with_neighbour(4.925, 4.965)
    here.choose(queues, 5.0)
    assert names(here.choose(queues, 5.01)) == ["a0"]


@pytest.mark.parametrize(
    ("arrivals", "size"),
    [
        ((), SMALL), ((4.96,), SMALL), ((4.94, 4.98), SMALL), ((3.0, 3.04), SMALL),
        ((4.5, 4.7), SMALL), ((4.925, 4.965), LARGE),
    ],
    ids=["none", "once", "not yet", "gone", "slow", "of another size"],
)  # fmt: skip
def test_nobody_waits_where_no_other_camera_is_about_to_add_to_the_batch(arrivals, size):
    here = with_neighbour(*arrivals, size=size)
    assert names(here.choose({"a": queue("a", 1, arrived=5.0)}, 5.0)) == ["a0"]


def test_a_camera_that_is_late_or_gone_is_given_up_before_the_wait_is_over():
    here, queues = with_neighbour(4.92, 4.96, wait_s=60.0), {"a": queue("a", 1, arrived=4.99)}
    assert here.choose(queues, 4.99).wake == pytest.approx(5.02)  # half of its interval late
    assert names(here.choose(queues, 5.021)) == ["a0"]
    here = with_neighbour(4.92, 4.96, wait_s=60.0)
    here.forget("other")
    assert names(here.choose(queues, 4.99)) == ["a0"]


def test_a_silent_camera_delays_nobody():
    queues = {"a": queue("a", 1), "silent": []}
    assert names(batcher(4).choose(queues, 0.0)) == ["a0"]


def test_cameras_take_turns_within_a_batch():
    queues = {"a": queue("a", 9), "b": queue("b", 2), "c": queue("c", 1)}
    assert sorted(names(batcher(4).choose(queues, 0.0))) == ["a0", "a1", "b0", "c0"]


def test_cameras_take_turns_from_batch_to_batch():
    here, served = batcher(1), []
    queues = {name: queue(name, 3) for name in "abc"}
    for _ in range(9):
        (item,) = here.choose(queues, 0.0).batch
        queues[item.camera].remove(item)
        served.append(item.camera)
    assert all(set(served[at : at + 3]) == set("abc") for at in (0, 3, 6))


def test_a_new_camera_is_served_next_even_beside_a_fast_one():
    here = batcher(2)
    here.choose({"fast": queue("fast", 50)}, 0.0)
    assert "new0" in names(here.choose({"fast": queue("fast", 50), "new": queue("new", 1)}, 0.0))


def test_of_two_sizes_the_one_that_waited_longer_goes_first():
    queues = {
        "a": queue("a", 2, arrived=2.0),
        "b": queue("b", 2, size=LARGE, arrived=1.0),
    }
    assert names(batcher(4).choose(queues, 3.0)) == ["b0", "b1"]


def test_a_change_of_size_within_a_camera_ends_the_batch():
    mixed = [Waiting("a", 0), Waiting("a", 1), Waiting("a", 2, LARGE), Waiting("a", 3)]
    assert names(batcher(4).choose({"a": mixed}, 0.0)) == ["a0", "a1"]


def test_frames_that_cannot_be_ready_in_time_are_hopeless():
    cost = knowing(SMALL, 1, 0.5)
    here = batcher(1, cost=cost)
    here.choose({"a": queue("a", 1)}, 10.0)
    late = queue("a", 2, arrived=10.0, deadline=10.4)
    choice = here.choose({"a": late}, 10.0)
    assert (choice.batch, choice.hopeless) == ([], late)


def test_a_batch_is_no_larger_than_its_first_deadline_allows():
    cost = knowing(SMALL, 1, 0.1)
    choice = batcher(8, cost=cost).choose({"a": queue("a", 8, deadline=0.35)}, 0.0)
    assert (len(choice.batch), choice.hopeless) == (3, [])


def test_now_and_then_the_newest_is_tried_all_the_same():
    cost = knowing(SMALL, 1, 100.0)
    here = batcher(4, cost=cost)
    late = queue("a", 3, deadline=10.0)
    assert names(here.choose({"a": late}, 0.0)) == ["a2"]
    assert here.choose({"a": late}, PROBE_S - 0.1).batch == []
    assert names(here.choose({"a": late}, PROBE_S)) == ["a2"]


@given(
    counts=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 12), min_size=1),
    sizes=st.lists(st.sampled_from([SMALL, LARGE]), min_size=12, max_size=12),
    limit=st.integers(1, 7),
    seconds=st.floats(0, 0.2),
    deadline=st.one_of(st.none(), st.floats(0, 2)),
)
def test_every_frame_is_chosen_once_in_order_or_given_up(counts, sizes, limit, seconds, deadline):
    cost = CostModel()
    cost.observe(SMALL, 1, seconds)
    here = batcher(limit, cost=cost)
    queues = {
        name: [Waiting(name, index, sizes[index], 0.0, deadline) for index in range(count)]
        for name, count in counts.items()
    }
    expected = {(name, index) for name, count in counts.items() for index in range(count)}
    seen, last, now = set(), {}, 0.0
    while any(queues.values()):
        choice = here.choose(queues, now)
        assert choice.batch or choice.hopeless
        assert len(choice.batch) <= limit
        assert len({item.size for item in choice.batch}) <= 1
        for item in choice.batch:
            assert item.index > last.get(item.camera, -1)
            last[item.camera] = item.index
        for item in [*choice.batch, *choice.hopeless]:
            assert (item.camera, item.index) not in seen
            seen.add((item.camera, item.index))
            queues[item.camera].remove(item)
        now += cost.expected(SMALL, max(1, len(choice.batch)))
    assert seen == expected


@given(
    loads=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 6), min_size=2),
    limit=st.integers(1, 5),
)
def test_no_camera_waits_longer_than_one_round_of_the_others(loads, limit):
    here = batcher(limit)
    ever = {name: queue(name, 60) for name in loads}
    waited = dict.fromkeys(loads, 0)
    for _ in range(40):
        chosen = {item.camera for item in here.choose(ever, 0.0).batch}
        for name in loads:
            waited[name] = 0 if name in chosen else waited[name] + 1
            assert waited[name] * limit < len(loads) + limit
        for name in chosen:
            ever[name] = ever[name][limit:] or queue(name, 60)


def test_the_cost_is_learnt_by_size_and_guessed_by_pixels():
    cost = CostModel()
    assert cost.expected(SMALL, 3) == 0
    for frames in (1, 1, 2, 2):
        cost.observe(SMALL, frames, 90.0)  # compiles, perhaps
    assert cost.expected(SMALL, 3) == 0
    cost.observe(SMALL, 2, 0.2)
    assert cost.expected(SMALL, 3) == pytest.approx(0.3)
    assert cost.expected(LARGE, 1) == pytest.approx(0.4)
    for _ in range(30):
        cost.observe(SMALL, 1, 1.0)
    assert cost.expected(SMALL, 1) == pytest.approx(1.0, rel=0.01)
    with pytest.raises(ValueError, match="can't be"):
        cost.observe(SMALL, 0, 1.0)


def test_frames_side_by_side_cost_what_they_cost_and_not_a_share_of_more():
    cost = CostModel()
    for frames, seconds in ((1, 0.1), (8, 0.4)):
        for _ in range(LEFT_OUT + 1):
            cost.observe(SMALL, frames, seconds)
    assert cost.expected(SMALL, 1) == pytest.approx(0.1)
    assert cost.expected(SMALL, 8) == pytest.approx(0.4)
    assert 0.1 < cost.expected(SMALL, 4) < 0.4
    assert cost.expected(SMALL, 16) == pytest.approx(0.8)


def waits(camera, count, *, arrived=0.0, time=1.0, size=SMALL):
    return queue(camera, count, arrived=arrived, deadline=arrived + time, size=size)


def ahead(here, queues, *, starts_at=0.0):
    return [f"{item.camera}{item.index}" for item in here.choose_ahead(queues, 0.0, starts_at, 2)]


def test_a_batch_begins_ahead_with_as_many_frames_as_there_are_lanes_and_no_fewer():
    here = batcher(4)
    assert ahead(here, {"a": waits("a", 3)}) == ["a0", "a1"]
    assert ahead(here, {"a": waits("a", 1)}) == []
    assert ahead(here, {"a": waits("a", 1), "b": waits("b", 1, size=LARGE)}) == []
    assert sorted(ahead(here, {"a": waits("a", 1), "b": waits("b", 1)})) == ["a0", "b0"]
    assert ahead(batcher(1), {"a": waits("a", 3)}) == []  # one at a time was asked for


@pytest.mark.parametrize(("starts_at", "begins"), [(0.39, True), (0.41, False)])
def test_frames_that_half_of_their_time_does_not_suffice_for_wait_for_newer_ones(starts_at, begins):
    here = batcher(4, cost=knowing(SMALL, 2, 0.1))
    queues = {"a": waits("a", 2)}
    assert bool(ahead(here, queues, starts_at=starts_at)) == begins
    assert not here.choose(queues, 0.0).hopeless  # nothing is given up for that
    assert ahead(here, {"a": queue("a", 2)}, starts_at=9.0) == ["a0", "a1"]  # they have all time


def test_no_frame_begins_ahead_of_an_older_one_of_its_camera():
    here = batcher(4, cost=knowing(SMALL, 2, 0.1))
    old, fresh = waits("a", 1, arrived=-0.5), waits("a", 2, arrived=0.0)
    assert ahead(here, {"a": [*old, *fresh], "b": waits("b", 2)}) == ["b0", "b1"]


def test_those_that_begin_ahead_take_turns():
    here = batcher(4)
    begun = [ahead(here, {name: waits(name, 1) for name in "abc"}) for _ in range(3)]
    assert sorted(name for names in begun for name in names) == sorted(["a0", "b0", "c0"] * 2)
