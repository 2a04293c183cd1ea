"""What a viewer gets next, and how its pictures are made and shared."""

import asyncio
import threading

import cv2
import numpy as np
import pytest

from streamderain.service import shots as shots_module
from streamderain.service.feed import LOOK_MOST_S, Feed
from streamderain.service.picture import encode, shared_width, shown_width
from streamderain.service.shapes import StreamQuery
from streamderain.service.shots import Shots
from tests.fake_control import FakeControl


def watching(fps=10, *, acknowledges=True, cameras=("gate",)):
    feed = Feed(acknowledges=acknowledges)
    feed.watch({camera: StreamQuery(fps=fps) for camera in cameras}, 0.0)
    return feed


def test_the_first_picture_goes_at_once_and_the_next_when_the_one_before_was_drawn():
    feed = watching()
    assert feed.due(0.0) == ["gate"]
    feed.sent("gate", 1, 0.0)
    assert feed.due(5.0) == []
    assert feed.next_due() is None
    feed.ack("gate")
    assert feed.due(5.0) == ["gate"]


def test_a_viewer_that_draws_at_once_gets_as_many_as_it_asked_for():
    feed, sent = watching(fps=10, acknowledges=False), 0
    for step in range(1000):  # a camera of 25 frames a second, looked at each 10 ms
        now, version = step / 100, step // 4 + 1
        if feed.due(now):
            if version > feed["gate"].version:
                feed.sent("gate", version, now)
                sent += 1
            else:
                feed.missed("gate", now)
    assert sent == pytest.approx(100, abs=4)


def test_a_slow_viewer_gets_the_newest_and_what_it_missed_is_counted():
    feed = watching()
    assert feed.sent("gate", 7, 0.0) == 0
    feed.ack("gate")
    assert feed.sent("gate", 40, 3.0) == 32


def test_one_that_was_slow_is_not_sent_a_burst():
    feed = watching(fps=10)
    feed.sent("gate", 1, 0.0)
    feed.ack("gate")
    feed.sent("gate", 2, 60.0)
    feed.ack("gate")
    assert feed.due(60.04) == []


def test_a_camera_that_gives_nothing_is_looked_at_less_and_less():
    feed, now, looks = watching(fps=50), 0.0, 0
    while now < 10.0:
        assert feed.due(now)
        feed.missed("gate", now)
        now, looks = feed.next_due(), looks + 1
    assert looks < 10 / LOOK_MOST_S + 20
    feed.sent("gate", 1, now)
    feed.ack("gate")
    feed.missed("gate", now + 1)
    assert feed.next_due() == pytest.approx(now + 1.02)


def test_a_view_that_changes_is_sent_anew_even_where_the_camera_gives_nothing():
    feed = watching()
    feed.sent("gate", 5, 0.0)
    feed.ack("gate")
    feed.watch({"gate": StreamQuery(view="both")}, 0.01)
    assert feed["gate"].version == 0
    assert feed.due(0.01) == ["gate"]
    feed.sent("gate", 5, 0.02)
    feed.watch({"gate": StreamQuery(view="both", fps=2)}, 0.03)
    assert feed["gate"].version == 5


def test_who_waits_longest_is_first_and_who_is_not_watched_any_more_is_not_there():
    feed = watching(cameras=("a", "b", "c"))
    feed.sent("a", 1, 0.0)
    feed.ack("a")
    assert feed.due(1.0) == ["b", "c", "a"]
    feed.watch({"b": StreamQuery()}, 1.0)
    feed.ack("a")
    feed.missed("a", 1.0)
    assert feed.sent("a", 9, 1.0) == 0
    assert feed.due(1.0) == ["b"]


def decoded(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)


def pair(value=0, **how):
    control = FakeControl("gate")
    control.show("gate", value, **how)
    return control.pair("gate")


def test_both_are_side_by_side_each_at_full_width():
    shown = decoded(encode(pair(), "both", 64, "png"))
    assert shown.shape == (48, 128, 3)
    assert np.array_equal(shown[:, :64], pair().before)
    assert np.array_equal(shown[:, 64:], pair().after)


@pytest.mark.parametrize("view", ["before", "after"])
def test_one_of_both_is_what_it_is_called(view):
    assert np.array_equal(decoded(encode(pair(), view, 64, "png")), getattr(pair(), view))


def test_jpeg_has_the_right_colours():
    shown = decoded(encode(pair(), "before", 64)).astype(int)
    assert np.abs(shown[:, 4:28] - (255, 0, 0)).mean() < 8


def test_pictures_are_made_smaller_but_never_larger():
    assert shown_width(pair(), "after", None) == 64
    assert shown_width(pair(), "after", 1000) == 64
    assert decoded(encode(pair(), "after", shown_width(pair(), "after", 32))).shape == (24, 32, 3)
    assert [shared_width(width) for width in (None, 16, 17, 480)] == [None, 16, 32, 480]


def test_a_picture_that_no_jpeg_can_hold_is_an_error():
    one = pair()
    wide = np.zeros((1, 40_000, 3), np.uint8)
    with pytest.raises(ValueError, match="at most 65500"):
        encode(type(one)(1, wide, wide, one.frame), "both", 40_000)


def test_twenty_viewers_share_one_picture(monkeypatch):
    threads = []

    def slow(*given):
        threads.append(threading.current_thread())
        return encode(*given)

    monkeypatch.setattr(shots_module, "encode", slow)

    async def watch():
        shots, one = Shots(), pair()
        found = await asyncio.gather(*(shots.get("gate", one, width=32) for _ in range(20)))
        await shots.get("gate", one, "both", 32)
        shots.close()
        return found, shots.encoded

    found, encoded = asyncio.run(watch())
    assert len({id(shot.data) for shot in found}) == 1
    assert encoded == len(threads) == 2
    assert threading.current_thread() not in threads


def test_a_picture_that_is_there_is_taken_where_it_is_new_enough_for_the_viewer():
    now = [0.0]

    async def watch():
        shots, control = Shots(clock=lambda: now[0]), FakeControl("gate")
        control.show("gate")
        first = await shots.get("gate", control.pair("gate"))
        control.show("gate")
        newest = control.pair("gate")
        now[0] = 0.03
        assert await shots.get("gate", newest, tolerance=0.05) is first
        assert (await shots.get("gate", newest, newer_than=1, tolerance=0.05)).version == 2
        control.show("gate")
        now[0] = 0.2
        assert (await shots.get("gate", control.pair("gate"), tolerance=0.05)).version == 3
        shots.close()

    asyncio.run(watch())


def test_pictures_that_nobody_asks_for_are_forgotten():
    now = [0.0]

    async def watch():
        shots, one = Shots(clock=lambda: now[0]), pair()
        for width in range(16, 64):
            await shots.get("gate", one, width=width)
        now[0] = 6.0
        await shots.get("yard", one)
        kept = len(shots._entries)
        shots.close()
        return kept, shots.encoded

    assert asyncio.run(watch()) == (1, 49)


def test_a_viewer_that_goes_does_not_take_the_picture_from_the_others():
    async def watch():
        shots, one = Shots(), pair()
        impatient = asyncio.ensure_future(shots.get("gate", one))
        patient = asyncio.ensure_future(shots.get("gate", one))
        await asyncio.sleep(0)
        impatient.cancel()
        shot = await patient
        shots.close()
        return shot

    assert asyncio.run(watch()).version == 1
