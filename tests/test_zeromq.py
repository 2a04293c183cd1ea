"""Publisher and subscriber over real sockets."""

import logging
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
import zmq

from streamderain.client import CameraView, Subscriber
from streamderain.errors import InputError, OutputError, UsageError
from streamderain.keys import make_keys, read_public_key, read_secret_key
from streamderain.wire import decode_message
from streamderain.writers.zeromq import CameraPublisher, PublisherSettings, ZeroMqPublisher, new_run
from tests.live_frames import live_frame
from tests.waiting import until

ANY = "tcp://127.0.0.1:0"


def publisher(address=ANY, **settings):
    return ZeroMqPublisher(PublisherSettings(address, **settings))


def numbered(index, camera="gate", **changes):
    frame = live_frame(index, camera, size=(24, 32))
    frame.decoded = index + 1
    frame.t_capture_ns = 1_800_000_000_000_000_000 + index
    for key, value in changes.items():
        setattr(frame, key, value)
    return frame


class Pumping:
    """Publishes frames until told to stop, so that a subscriber that just joined gets some."""

    def __init__(self, *cameras, period=0.005):
        self.cameras, self.period = cameras, period
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        index = 0
        while not self.stop.wait(self.period):
            for camera in self.cameras:
                camera.write(numbered(index, camera._camera))
            index += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *reason):
        self.stop.set()
        self.thread.join()


def test_a_subscriber_gets_the_pixels_and_what_is_known_of_them():
    with publisher() as socket, Subscriber(socket.address) as frames:
        camera = CameraPublisher(socket, "gate", "r1")
        with Pumping(camera):
            got = frames.next(5)
        assert np.array_equal(got.pixels, numbered(got.header.src_index).pixels)
        assert got.camera == "gate"
        assert (got.header.run, got.header.t_source) == ("r1", "pts")
        assert got.header.decoded == got.header.src_index + 1


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_pictures_travel_compressed(codec):
    with publisher() as socket, Subscriber(socket.address) as frames:
        with Pumping(CameraPublisher(socket, "gate", "r", codec=codec)):
            got = frames.next(5)
        assert got.header.codec == codec
        assert got.pixels == pytest.approx(numbered(got.header.src_index).pixels, abs=3)


def test_only_the_cameras_asked_for_arrive():
    with publisher() as socket, Subscriber(socket.address, cameras=["cam1"]) as frames:
        cameras = [CameraPublisher(socket, name, "r") for name in ("cam1", "cam10", "other")]
        with Pumping(*cameras):
            seen = {frames.next(5).camera for _ in range(5)}
        assert seen == {"cam1"}
        assert set(frames.cameras) == {"cam1"}


def test_each_camera_gets_its_turn_and_the_newest_frame():
    with publisher(high_water_mark=100) as socket, Subscriber(socket.address) as frames:
        cameras = [CameraPublisher(socket, name, "r") for name in ("a", "b")]
        with Pumping(*cameras):
            until(lambda: len(frames.cameras) == 2)
        sent = cameras[0].published
        until(lambda: all(v.last.seq == sent - 1 for v in frames.cameras.values()))
        got = [frames.next(1) for _ in range(2)]
        assert {frame.camera for frame in got} == {"a", "b"}
        assert {frame.header.seq for frame in got} == {sent - 1}
        assert frames.next(0) is None
        view = frames.cameras["a"]
        assert view.replaced == view.received - 1


def test_what_a_stopped_subscriber_lost_is_counted_exactly_when_it_goes_on():
    context, view = zmq.Context(), CameraView()
    slow = context.socket(zmq.SUB)
    slow.rcvhwm = 2
    slow.setsockopt(zmq.RCVBUF, 4096)
    slow.subscribe(b"frame/")

    def take():
        header, _ = decode_message(slow.recv_multipart())
        view.note(header, 0.0, 0.0)
        return header.seq

    try:
        with publisher(high_water_mark=2) as socket:
            camera = CameraPublisher(socket, "gate", "r")
            slow.connect(socket.address)
            with Pumping(camera):
                assert slow.poll(5000)
            first = take()
            for _ in range(100):  # nobody reads, and there is room for a few only
                camera.write(live_frame(0, size=(480, 640)))

            def caught_up():
                camera.write(numbered(1))
                seqs = []
                while slow.poll(50):
                    seqs.append(take())
                return camera.published - 1 in seqs

            until(caught_up)
            assert view.lost > 0
            assert view.received + view.lost == camera.published - first
    finally:
        context.destroy(linger=0)


def test_the_subscribers_count_of_losses_is_the_publishers():
    with publisher(high_water_mark=100) as socket, Subscriber(socket.address) as frames:
        camera = CameraPublisher(socket, "gate", "r")
        with Pumping(camera):
            until(lambda: frames.cameras.get("gate"))
        first = frames.cameras["gate"].last.seq
        camera.published += 7  # numbered, and lost on the way
        camera.write(numbered(1))
        last = camera.published - 1
        view = until(lambda: (v := frames.cameras["gate"]).last.seq == last and v)
        assert view.lost == 7
        assert first < last


def test_a_publisher_that_restarts_is_found_again_and_is_no_loss():
    first = publisher()
    with Subscriber(first.address) as frames:
        with Pumping(CameraPublisher(first, "gate", new_run())):
            until(lambda: frames.cameras.get("gate"))
        first.close()
        with publisher(first.address) as second:
            with Pumping(CameraPublisher(second, "gate", new_run())):
                view = until(lambda: (v := frames.cameras["gate"]).restarts and v, 15)
            assert (view.restarts, view.lost) == (1, 0)


def test_a_dropped_frame_is_in_the_next_header_and_the_sum_holds():
    with publisher(high_water_mark=100) as socket, Subscriber(socket.address) as frames:
        camera = CameraPublisher(socket, "gate", "r")
        with Pumping(camera):
            until(lambda: frames.cameras.get("gate"))
        decoded = camera.published + 5 + 1
        camera.write(numbered(1, dropped={"max_fps": 3, "publish": 2}, decoded=decoded))
        seq = camera.published - 1
        header = until(lambda: (h := frames.cameras["gate"].last).seq == seq and h)
        assert header.dropped == {"max_fps": 3, "publish": 2}
        assert header.decoded == header.seq + 1 + sum(header.dropped.values())


def test_events_tell_the_state():
    with publisher() as socket, Subscriber(socket.address) as frames:
        camera = CameraPublisher(socket, "gate", "r")

        def told():
            camera.tell("state", "backoff", "no route", 5, {"max_fps": 1})
            view = frames.cameras.get("gate")
            return view and view.state

        assert until(told) == "backoff"
        assert frames.cameras["gate"].message == "no route"


def test_push_gives_each_frame_to_one_worker_and_says_when_nobody_takes_it():
    with publisher(pattern="push", high_water_mark=100) as socket:
        camera = CameraPublisher(socket, "gate", "r")
        camera.write(numbered(0))
        assert (camera.published, camera.unsent) == (1, 1)
        with (
            Subscriber(socket.address, pattern="pull") as one,
            Subscriber(socket.address, pattern="pull") as two,
        ):
            with Pumping(camera):
                until(lambda: one.cameras and two.cameras)
            taken = camera.published - camera.unsent
            until(lambda: one.cameras["gate"].received + two.cameras["gate"].received == taken)
            assert one.cameras["gate"].lost == two.cameras["gate"].lost == 0


def test_foreign_messages_are_counted_and_harmless():
    context = zmq.Context()
    stranger = context.socket(zmq.PUB)
    port = stranger.bind_to_random_port("tcp://127.0.0.1")
    try:
        with Subscriber(f"tcp://127.0.0.1:{port}") as frames:

            def heard():
                stranger.send_multipart([b"frame/gate/", b"nonsense", b""])
                return frames.foreign

            until(heard)
            assert frames.cameras == {}
    finally:
        context.destroy(linger=0)


def test_a_damaged_picture_is_skipped_and_counted():
    with publisher() as socket, Subscriber(socket.address) as frames:
        camera = CameraPublisher(socket, "gate", "r")
        real = socket.send

        def send(parts):
            return real([parts[0], parts[1], b"x"] if camera.published % 2 else parts)

        socket.send = send
        with Pumping(camera):
            until(lambda: frames.next(1) and frames.cameras["gate"].damaged)


def test_an_ipc_socket_is_for_owner_and_group_alone(tmp_path):
    path = tmp_path / "frames.ipc"
    with publisher(f"ipc://{path}") as socket, Subscriber(f"ipc://{path}") as frames:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with Pumping(CameraPublisher(socket, "gate", "r")):
            assert frames.next(5).header.codec == "raw"


def test_an_address_in_use_is_refused():
    with publisher() as socket, pytest.raises(OutputError, match="in use"):
        publisher(socket.address)


def test_an_ipc_address_in_use_is_not_taken_over(tmp_path):
    address = f"ipc://{tmp_path / 'a.ipc'}"
    with publisher(address), pytest.raises(OutputError, match="another publisher"):
        publisher(address)
    with publisher(address):
        pass


def test_a_file_at_an_ipc_address_is_not_touched(tmp_path):
    path = tmp_path / "a.ipc"
    path.write_text("precious")
    with pytest.raises(OutputError, match="no socket"):
        publisher(f"ipc://{path}")
    assert path.read_text() == "precious"


def test_a_nonsense_address_is_refused():
    with pytest.raises(UsageError, match="no address"):
        Subscriber("gate")
    with pytest.raises(UsageError, match="sub or pull"):
        Subscriber(ANY, pattern="req")


@pytest.fixture
def keys(tmp_path):
    make_keys(tmp_path, ["detector", "other"])
    stranger = tmp_path / "elsewhere"
    make_keys(stranger, ["stranger"])
    return tmp_path


def locked(keys, address=ANY):
    return publisher(address, secret_key=keys / "server.key_secret", clients=keys / "clients")


def test_keys_are_made_once_and_secret_ones_are_ones_own(tmp_path):
    written = make_keys(tmp_path, ["detector"])
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "server.key", "server.key_secret", "clients/detector.key", "clients/detector.key_secret",
    ]  # fmt: skip
    for path in written:
        expected = 0o600 if path.suffix == ".key_secret" else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == expected
    before = [path.read_bytes() for path in written]
    assert [path.stem for path in make_keys(tmp_path, ["detector", "new"])] == ["new", "new"]
    assert [path.read_bytes() for path in written] == before
    public, secret = read_secret_key(tmp_path / "server.key_secret")
    assert read_public_key(tmp_path / "server.key") == public
    assert len(secret) == 40


def test_half_a_pair_of_keys_is_not_completed_by_another(tmp_path):
    make_keys(tmp_path, [])
    (tmp_path / "server.key").unlink()
    with pytest.raises(OutputError, match="other half"):
        make_keys(tmp_path, [])


@pytest.mark.parametrize("name", ["../x", "", "a b", "server"])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match="can't be a client's name"):
        make_keys(tmp_path / "k", [name])
    assert not (tmp_path / "k").exists()


def test_a_file_that_is_no_key_is_named(tmp_path):
    path = tmp_path / "a.key"
    path.write_text("hello")
    with pytest.raises(InputError, match="can't be read as a key"):
        read_public_key(path)
    with pytest.raises(InputError, match="does not exist"):
        read_public_key(tmp_path / "none.key")
    make_keys(tmp_path, [])
    with pytest.raises(InputError, match="holds no secret key"):
        read_secret_key(tmp_path / "server.key")


def test_a_client_with_its_key_gets_frames_and_still_does_after_a_restart(keys):
    first = locked(keys)
    known = {
        "server_key": keys / "server.key",
        "client_key": keys / "clients" / "detector.key_secret",
    }
    with Subscriber(first.address, **known) as frames:
        with Pumping(CameraPublisher(first, "gate", "r1")):
            assert frames.next(5) is not None
        first.close()
        with (
            locked(keys, first.address) as second,
            Pumping(CameraPublisher(second, "gate", "r2")),
        ):
            until(lambda: frames.cameras["gate"].restarts, 15)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no key, or another"),
        ({"server_key": "elsewhere/server.key"}, "no key, or another"),
        ({"server_key": "server.key"}, "not among those of the clients"),
        (
            {"server_key": "server.key", "client_key": "elsewhere/clients/stranger.key_secret"},
            "not among those of the clients",
        ),
    ],
)
def test_without_the_right_keys_nothing_comes_and_the_log_says_so(keys, settings, words, caplog):
    caplog.set_level(logging.WARNING, "streamderain")
    files = {name: keys / path for name, path in settings.items()}
    with locked(keys) as socket, Subscriber(socket.address, **files) as frames:
        camera = CameraPublisher(socket, "gate", "r")
        with Pumping(camera):
            until(lambda: any(words in record.message for record in caplog.records))
            assert frames.next(0.3) is None
        assert frames.refused
        assert frames.cameras == {}


def test_a_publisher_with_keys_of_its_own_lets_in_whoever_knows_them(keys):
    with (
        publisher(secret_key=keys / "server.key_secret") as socket,
        Subscriber(socket.address, server_key=keys / "server.key") as frames,
        Pumping(CameraPublisher(socket, "gate", "r")),
    ):
        assert frames.next(5) is not None


def test_a_missing_folder_of_clients_is_named(keys):
    with pytest.raises(InputError, match="no folder"):
        publisher(secret_key=keys / "server.key_secret", clients=keys / "nobody")


def test_closing_does_not_hang_where_the_thread_saw_it_first():
    context, stop = zmq.Context(), threading.Event()
    stranger = context.socket(zmq.PUB)
    port = stranger.bind_to_random_port("tcp://127.0.0.1")

    def chatter():
        while not stop.wait(0.001):
            stranger.send_multipart([b"frame/gate/", b"nonsense", b""])

    chatting = threading.Thread(target=chatter)
    chatting.start()
    try:
        frames = Subscriber(f"tcp://127.0.0.1:{port}")
        until(lambda: frames.foreign)
        notify = frames._changed.notify_all
        frames._changed.notify_all = lambda: (notify(), frames._thread.join(10))
        closing = threading.Thread(target=frames.close, daemon=True)
        closing.start()
        closing.join(15)
        assert not closing.is_alive()
    finally:
        stop.set()
        chatting.join()
        context.destroy(linger=0)


def test_closing_ends_an_iteration_and_frees_every_descriptor():
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(3):
        with publisher() as socket:
            subscriber = Subscriber(socket.address)
            ended = threading.Thread(target=lambda s=subscriber: list(s))
            ended.start()
            subscriber.close()
            subscriber.close()
            ended.join(5)
            assert not ended.is_alive()
    until(lambda: descriptors() <= before + 2)
