"""The address book: what it tells of each camera, and what a subscriber makes of it."""

import threading

import pytest

from streamderain.client import Subscriber
from streamderain.cluster.book import Book, Follower, Moves, Place
from streamderain.errors import UsageError
from streamderain.wire import AddressHeader, address_topic, encode_message
from streamderain.writers.zeromq import CameraPublisher, PublisherSettings, ZeroMqPublisher
from tests.live_frames import live_frame
from tests.waiting import until

ONE = Place("run-1", "10.0.0.1", ("tcp://10.0.0.1:5600",))
TWO = Place("run-2", "10.0.0.2", ("tcp://10.0.0.2:5600",))


def told(entries):
    return [(entry.camera, entry.seq, entry.state, entry.addresses) for entry in entries]


def entry(camera, place, *, seq=0, book="b", state="live"):
    return AddressHeader(
        camera=camera, book=book, seq=seq, t_publish_ns=1, state=state,
        run=place.run if place else None, node=place.node if place else None,
        addresses=place.addresses if place else (), push=place.push if place else (),
    )  # fmt: skip


# What is told.


def test_every_camera_is_told_at_once_and_each_second():
    book = Book("b", ["gate", "yard"])
    first = [("gate", 0, "waiting", ()), ("yard", 0, "waiting", ())]
    assert told(book.due(100.0, 1)) == first
    assert book.due(100.9, 2) == []
    assert [seq for _, seq, _, _ in told(book.due(101.0, 3))] == [1, 1]


def test_what_changes_is_told_without_delay_and_alone():
    book = Book("b", ["gate", "yard"])
    book.due(100.0, 1)
    book.put("yard", "live", None, ONE, 7)
    assert told(book.due(100.1, 8)) == [("yard", 1, "live", ONE.addresses)]
    book.put("yard", "live", None, ONE, 9)
    assert book.due(100.2, 9) == []


def test_since_and_placement_are_those_of_the_place_not_of_the_state():
    book = Book("b", ["gate"])
    for state, place, wall in (
        ("connecting", ONE, 5), ("live", ONE, 6), ("moving", None, 7), ("connecting", TWO, 8),
        ("live", TWO, 9),
    ):  # fmt: skip
        book.put("gate", state, None, place, wall)
        (last,) = book.due(float(wall), wall)
        if state == "moving":
            assert (last.since_ns, last.placement, last.run) == (None, 1, None)
    assert (last.since_ns, last.placement, last.run, last.node) == (8, 2, "run-2", "10.0.0.2")


# What is made of it.


def test_a_camera_is_followed_to_its_new_address():
    follower = Follower()
    assert follower.note(entry("gate", ONE)) == Moves(ONE.addresses, ())
    assert follower.note(entry("gate", ONE, seq=1)) == Moves()
    assert follower.note(entry("gate", TWO, seq=2)) == Moves(TWO.addresses, ONE.addresses)


def test_an_address_stays_connected_while_another_camera_is_there():
    follower = Follower()
    follower.note(entry("gate", ONE))
    follower.note(entry("yard", ONE))
    assert follower.note(entry("gate", TWO, seq=1)) == Moves(TWO.addresses, ())
    assert follower.note(entry("yard", TWO, seq=1)) == Moves((), ONE.addresses)


def test_a_camera_that_is_nowhere_for_a_while_is_waited_for_at_its_old_address():
    follower = Follower()
    follower.note(entry("gate", ONE))
    assert follower.note(entry("gate", None, seq=1, state="moving")) == Moves()
    assert follower.note(entry("gate", ONE, seq=2)) == Moves()
    assert follower.entry("gate").seq == 2


def test_an_entry_that_is_older_than_what_is_known_says_nothing():
    follower = Follower()
    follower.note(entry("gate", TWO, seq=5))
    assert follower.note(entry("gate", ONE, seq=4)) == Moves()
    assert follower.is_current("gate", "run-2")


def test_a_book_that_has_restarted_counts_anew_and_is_believed():
    follower = Follower()
    follower.note(entry("gate", ONE, seq=50))
    assert follower.note(entry("gate", TWO, book="another")).connect == TWO.addresses


def test_cameras_that_are_not_wanted_are_not_connected_to():
    follower = Follower(wanted=frozenset(["yard"]))
    assert follower.note(entry("gate", ONE)) == Moves()
    assert follower.entry("gate") is None


def test_workers_follow_the_addresses_of_push_sockets():
    both = Place("run", "n", ("tcp://n:1",), ("tcp://n:2",))
    assert Follower(pull=True).note(entry("gate", both)).connect == ("tcp://n:2",)
    assert Follower().note(entry("gate", both)).connect == ("tcp://n:1",)


def test_only_frames_of_the_run_that_the_book_names_are_current():
    follower = Follower()
    assert follower.is_current("gate", "any, before the book speaks")
    follower.note(entry("gate", TWO))
    assert follower.is_current("gate", "run-2")
    assert not follower.is_current("gate", "run-1")


# Over real sockets.


class Cameras:
    """A camera at one address, publishing until it is stopped; the book says where."""

    def __init__(self, book, run):
        self.publisher = ZeroMqPublisher(PublisherSettings("tcp://127.0.0.1:0"))
        self.camera = CameraPublisher(self.publisher, "gate", run)
        self.place = Place(run, "127.0.0.1", (self.publisher.address,))
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.book = book

    def _run(self):
        index = 0
        while not self.stop.wait(0.005):
            frame = live_frame(index, size=(24, 32))
            frame.decoded = index + 1
            frame.t_capture_ns = 1_800_000_000_000_000_000 + index
            self.camera.write(frame)
            index += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *reason):
        self.stop.set()
        self.thread.join()
        self.publisher.close()


@pytest.fixture
def told_book():
    """A book, and how to make it tell."""
    with ZeroMqPublisher(PublisherSettings("tcp://127.0.0.1:0")) as publisher:
        pages = Book("b", ["gate"], every_s=0.05)
        stop = threading.Event()

        def run():
            clock = 0.0
            while not stop.wait(0.05):
                clock += 0.05
                for each in pages.due(clock, 1):
                    publisher.send(encode_message(each))

        thread = threading.Thread(target=run)
        thread.start()
        yield publisher.address, pages
        stop.set()
        thread.join()


def test_a_subscriber_finds_a_camera_again_that_has_moved_and_counts_no_loss(told_book):
    address, pages = told_book
    with Cameras(pages, "run-1") as one, Cameras(pages, "run-2") as two:
        pages.put("gate", "live", None, one.place, 1)
        with Subscriber(book=address) as subscriber:
            until(lambda: "gate" in subscriber.cameras and subscriber.cameras["gate"].received > 5)
            assert subscriber.cameras["gate"].last.run == "run-1"
            pages.put("gate", "live", None, two.place, 2)  # the old one goes on publishing
            until(lambda: subscriber.cameras["gate"].last.run == "run-2")
            seen = subscriber.cameras["gate"].received
            until(lambda: subscriber.cameras["gate"].received > seen + 20)
            view = subscriber.cameras["gate"]
            assert (view.restarts, view.lost, view.node) == (1, 0, "127.0.0.1")


def test_a_camera_that_moves_back_and_forth_amid_its_frames_ends_no_process(told_book):
    address, pages = told_book
    with (
        Cameras(pages, "run-1") as one,
        Cameras(pages, "run-2") as two,
        Subscriber(book=address) as subscriber,
    ):
        for number in range(60):
            place = (one, two)[number % 2].place
            pages.put("gate", "live", None, place, number)
            until(
                lambda place=place: (
                    (view := subscriber.cameras.get("gate"))
                    and view.last
                    and view.last.run == place.run
                )
            )
        assert subscriber.cameras["gate"].restarts == 59


def test_a_camera_that_is_nowhere_has_the_state_that_the_book_says(told_book):
    address, pages = told_book
    pages.put("gate", "waiting", "no node has room", None, 1)
    with Subscriber(book=address) as subscriber:
        view = until(lambda: subscriber.cameras.get("gate"))
        assert (view.state, view.message, view.received) == ("waiting", "no node has room", 0)


def test_a_book_of_which_an_address_cannot_be_is_read_on(told_book):
    address, pages = told_book
    with Cameras(pages, "run-1") as one:
        pages.put("gate", "live", None, Place("run-0", "n", ("nonsense",)), 1)
        with Subscriber(book=address) as subscriber:
            until(lambda: subscriber.foreign)
            pages.put("gate", "live", None, one.place, 1)
            until(lambda: subscriber.cameras["gate"].received)


def test_without_an_address_or_a_book_there_is_nothing_to_subscribe_to():
    with pytest.raises(UsageError, match="name an address to subscribe to, or that of an address"):
        Subscriber()


def test_the_topic_of_an_entry_ends_in_a_slash():
    assert not address_topic("cam10").startswith(address_topic("cam1"))
    assert encode_message(entry("cam1", ONE))[0] == b"address/cam1/"
