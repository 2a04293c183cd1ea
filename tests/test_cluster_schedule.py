"""Which segment is cleaned next: nobody is idle without need, nothing is forgotten."""

import random

import pytest

from streamderain.cluster.schedule import PATIENCE, Schedule


def chain(schedule, video, segments, frames=100):
    """A video of which only the first segment has what it must know."""
    schedule.add(video, dict.fromkeys(range(segments), frames), {0})


def test_a_segment_is_ready_when_the_one_before_is_done():
    schedule = Schedule()
    chain(schedule, 0, 3)
    assert schedule.next() == (0, 0)
    assert schedule.next() is None
    schedule.done(0, 0)
    assert schedule.next() == (0, 1)


def test_a_segment_is_ready_when_a_scout_has_told_what_it_must_know():
    schedule = Schedule()
    chain(schedule, 0, 3)
    schedule.next()
    schedule.tell(0, 2)
    assert schedule.next() == (0, 2)
    assert schedule.next() is None


def test_workers_are_shared_between_videos_that_are_begun():
    schedule = Schedule()
    for video in range(2):
        schedule.add(video, dict.fromkeys(range(4), 100), range(4))
    assert [schedule.next()[0] for _ in range(4)] == [0, 1, 0, 1]


def test_a_video_that_needs_one_more_segment_is_finished_first():
    schedule = Schedule()
    schedule.add(0, dict.fromkeys(range(4), 100), range(4))
    schedule.add(1, {7: 500}, {7})
    assert schedule.next() == (1, 7)


def test_a_begun_video_goes_on_before_another_is_begun():
    schedule = Schedule()
    chain(schedule, 0, 5)
    chain(schedule, 1, 4, frames=10)
    schedule.add(2, dict.fromkeys(range(3), 1), {0})
    begun = schedule.next()
    assert begun == (2, 0), "the shortest first"
    schedule.done(2, 0)
    assert schedule.next() == (2, 1)


def test_a_recording_is_looked_through_only_where_workers_would_be_idle():
    schedule = Schedule()
    chain(schedule, 0, 5)
    chain(schedule, 1, 9)
    assert schedule.scout(2) == {}, "two segments are ready for them"
    schedule.next()
    schedule.next()
    assert schedule.scout(0) == {}
    assert schedule.scout(1) == {1: (0, 9)}, "the one with more to gain"
    assert schedule.scout(1) == {}, "one scout an idle worker"
    assert schedule.scout(2) == {0: (0, 5)}
    schedule.scouted(0)
    assert schedule.scout(2) == {0: (0, 5)}, "it ended before it came to the end"


def test_where_scouts_come_no_further_none_is_sent_until_a_worker_has_come_further():
    schedule = Schedule()
    chain(schedule, 0, 9)
    assert schedule.next() == (0, 0)
    for _ in range(PATIENCE):
        assert schedule.scout(1) == {0: (0, 9)}
        schedule.scouted(0)
    assert schedule.scout(1) == {}
    schedule.done(0, 0)
    assert schedule.next() == (0, 1)
    assert schedule.scout(1) == {0: (1, 9)}
    schedule.tell(0, 2)  # one that ends after it has told something may just have lost its node
    schedule.scouted(0)
    assert schedule.scout(2) == {0: (2, 9)}


def test_a_scout_begins_where_something_is_known_and_ends_where_nothing_is_wanted():
    schedule = Schedule()
    schedule.add(0, dict.fromkeys((3, 4, 5, 8), 100), {3, 8})
    assert schedule.next() == (0, 3)
    assert schedule.next() == (0, 8)
    assert schedule.scout(1) == {0: (3, 6)}


def test_a_segment_whose_worker_is_lost_is_done_again():
    schedule = Schedule()
    chain(schedule, 0, 2)
    schedule.next()
    assert schedule.lost(0, 0, blamed=False)
    assert schedule.next() == (0, 0)


def test_a_segment_that_ends_worker_after_worker_is_given_up_but_not_for_lost_nodes():
    schedule = Schedule()
    chain(schedule, 0, 2)
    for _ in range(10):
        schedule.next()
        assert schedule.lost(0, 0, blamed=False)
    for tried in range(PATIENCE):
        assert schedule.next() == (0, 0)
        assert schedule.lost(0, 0, blamed=True) == (tried + 1 < PATIENCE)


def test_a_video_that_has_failed_is_over_when_nobody_works_on_it_any_more():
    schedule = Schedule()
    schedule.add(0, dict.fromkeys(range(3), 100), range(3))
    schedule.next()
    schedule.next()
    schedule.done(0, 0)
    schedule.stop(0)
    assert schedule.next() is None
    assert not schedule.is_over(0)
    schedule.done(0, 1)
    assert schedule.is_over(0)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_every_segment_is_done_once_and_in_an_order_that_is_possible(seed):
    rng = random.Random(seed)
    schedule = Schedule(patience=10**9)
    left = {v: {n: rng.randint(1, 50) for n in range(rng.randint(1, 6))} for v in range(4)}
    done, told, running, scouts = set(), set(), [], {}
    waiting = list(left)
    for _ in range(10000):
        if waiting and rng.random() < 0.3:
            video = waiting.pop(0)
            schedule.add(video, left[video], {0})
        workers = 3 - len(running)
        while workers and (work := schedule.next()):
            assert work not in done
            assert work not in running
            video, number = work
            assert number == 0 or (video, number - 1) in done or work in told
            running.append(work)
            workers -= 1
        assert not (workers and schedule.ready), "nobody is idle without need"
        for video, (first, end) in schedule.scout(workers).items():
            scouts[video] = list(range(first + 1, end))
        if scouts and rng.random() < 0.5:
            video = rng.choice(list(scouts))
            if scouts[video] and rng.random() < 0.9:
                told.add((video, scouts[video][0]))
                schedule.tell(video, scouts[video].pop(0))
            else:
                del scouts[video]
                schedule.scouted(video)
        if running and rng.random() < 0.5:
            work = running.pop(rng.randrange(len(running)))
            if rng.random() < 0.2:
                schedule.lost(*work, blamed=rng.random() < 0.5)
            else:
                schedule.done(*work)
                done.add(work)
        if not waiting and all(schedule.is_over(video) for video in left):
            break
    assert done == {(video, number) for video, segments in left.items() for number in segments}
