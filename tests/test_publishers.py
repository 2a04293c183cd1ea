"""Sockets that cameras share: bound for the first, closed after the last."""

import pytest

from streamderain.config import ZeroMqOutput
from streamderain.errors import ConfigError, OutputError
from streamderain.live.publishers import Publishers
from streamderain.writers.zeromq import PublisherSettings, ZeroMqPublisher


@pytest.fixture
def address(tmp_path):
    return f"ipc://{tmp_path / 'frames.ipc'}"


def is_free(address):
    try:
        ZeroMqPublisher(PublisherSettings(address)).close()
    except OutputError:
        return False
    return True


def room(publisher):
    return publisher._socket.sndhwm


def test_one_socket_an_address_for_as_long_as_a_camera_uses_it(address):
    here, output = Publishers(), ZeroMqOutput(address=address)
    first, second = here.lend(output, "a"), here.lend(output, "b")
    assert first is second
    assert here.addresses == {address: address}
    here.give_back(address, "a")
    assert not is_free(address)
    here.give_back(address, "b")
    assert is_free(address)
    assert here.addresses == {}


def test_a_free_port_is_named_by_what_was_asked_for():
    here, output = Publishers(), ZeroMqOutput(address="tcp://127.0.0.1:0")
    here.lend(output, "a")
    assert here.addresses["tcp://127.0.0.1:0"].rpartition(":")[2] != "0"
    here.give_back("tcp://127.0.0.1:0", "a")


def test_as_many_messages_may_wait_as_all_cameras_together_allow_and_some_to_spare(address):
    output = ZeroMqOutput(address=address, high_water_mark=4)
    for here, pattern, expected in (
        (Publishers(), "pub", 4),
        (Publishers({address: 3}), "pub", 12),
        (Publishers({address: 3}, spare=2), "pub", 20),
        (Publishers({address: 3}, spare=2), "push", 12),
    ):
        assert room(here.lend(output.model_copy(update={"pattern": pattern}), "a")) == expected
        here.give_back(address, "a")


def test_more_cameras_than_there_is_room_for_are_told_of_once_and_remembered(address, caplog):
    here, output = Publishers(spare=1), ZeroMqOutput(address=address, high_water_mark=4)
    for camera in "abcd":
        here.lend(output, camera)
    assert caplog.text.count("more cameras publish at") == 1
    for camera in "abcd":
        here.give_back(address, camera)
    assert room(here.lend(output, "a")) == 20
    here.give_back(address, "a")


def test_a_camera_that_is_changed_needs_no_more_room(address, caplog):
    here, output = Publishers({address: 1}), ZeroMqOutput(address=address, high_water_mark=4)
    for _ in range(2):  # as it was, and as it is to be
        here.lend(output, "a")
    for _ in range(2):
        here.give_back(address, "a")
    assert not caplog.text
    assert is_free(address)
    assert room(here.lend(output, "a")) == 4
    here.give_back(address, "a")


def test_an_address_is_not_shared_by_what_it_cannot_be(address):
    here, output = Publishers(), ZeroMqOutput(address=address)
    here.lend(output, "a")
    other = output.model_copy(update={"pattern": "push"})
    assert here.is_bound_otherwise(other)
    assert not here.is_bound_otherwise(output.model_copy(update={"quality": 50}))
    with pytest.raises(ConfigError, match="share all its settings"):
        here.lend(other, "a")
    here.give_back(address, "a")
    assert not here.is_bound_otherwise(other)
