"""The bounded channel between two stages."""

import threading

import pytest

from streamderain.channel import Cancelled, Channel


def test_items_arrive_in_order_and_iteration_ends_after_close():
    channel = Channel[int](capacity=4)
    for item in range(3):
        channel.put(item)
    channel.close()
    assert list(channel) == [0, 1, 2]


def test_a_full_channel_holds_its_writer_until_there_is_room():
    channel = Channel[int](capacity=2)
    put = []

    def write():
        for item in range(5):
            channel.put(item)
            put.append(item)
        channel.close()

    thread = threading.Thread(target=write)
    thread.start()
    received = []
    for item in channel:
        # The one just taken, the two that wait, and none further.
        assert len(put) <= item + 1 + 2 + 1
        received.append(item)
    thread.join(5)
    assert received == [0, 1, 2, 3, 4]


def test_cancel_wakes_a_writer_that_waits():
    channel = Channel[int](capacity=1)
    channel.put(0)
    caught = []

    def write():
        try:
            channel.put(1)
        except Cancelled:
            caught.append(True)

    thread = threading.Thread(target=write)
    thread.start()
    channel.cancel()
    thread.join(5)
    assert caught == [True]


def test_cancel_wakes_a_reader_that_waits():
    channel = Channel[int](capacity=1)
    threading.Timer(0.01, channel.cancel).start()
    with pytest.raises(Cancelled):
        next(channel)


def test_a_channel_without_room_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        Channel[int](capacity=0)
