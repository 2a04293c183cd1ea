"""The connection to a cluster: what isn't one is told apart within a moment, by one sentence."""

import socket
import threading
from contextlib import contextmanager

import pytest

from streamderain.cluster.connecting import connected, speaks_grpc, split_address
from streamderain.errors import ClusterError, UsageError


@contextmanager
def server(answer):
    """Listen; give whoever connects an answer, or nothing where that is None."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held = []

        def serve():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            held.append(connection)
            if answer is not None:
                connection.recv(1024)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("10.0.0.3:6379", ("10.0.0.3", 6379)),
        ("head:6379", ("head", 6379)),
        ("[::1]:6379", ("::1", 6379)),
    ],
)
def test_addresses_have_a_host_and_a_port(address, parts):
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    [
        "head",
        "head:",
        ":6379",
        "head:port",
        "head:99999",
        "ray://head:10001",
        "http://head:6379",
        "",
    ],
)
def test_what_is_no_address_is_refused_as_wrong_usage(address):
    with pytest.raises(UsageError, match="is no address of a Ray cluster; those are auto, local"):
        split_address(address)
    with pytest.raises(UsageError), connected(address):
        pass


def test_a_grpc_server_is_known_by_its_first_words():
    with server(bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))) as port:
        assert speaks_grpc("127.0.0.1", port) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "isn't Ray"),
        (b"-ERR unknown command\r\n", "isn't Ray"),
        (b"", "isn't Ray"),
        (None, "nobody answers within 0.2 s"),
    ],
)
def test_what_listens_but_is_not_ray_is_told_apart(answer, said):
    with server(answer) as port:
        assert said in speaks_grpc("127.0.0.1", port, 0.2)


def test_a_closed_port_and_an_unknown_name_are_said_as_they_are():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert speaks_grpc("127.0.0.1", port) == "connection refused"
    assert speaks_grpc("nobody.invalid", 1) == "the name nobody.invalid isn't known"


def test_a_cluster_that_goes_away_is_one_sentence(monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr(ray, "init", lambda **options: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(ClusterError, match="the Ray cluster doesn't answer any more"),
        connected("local"),
    ):
        raise ray.exceptions.RaySystemError("gone")


def test_connecting_to_nobody_ends_with_one_sentence():
    pytest.importorskip("ray", reason="Ray is not installed")
    with server(None) as port:
        address = f"127.0.0.1:{port}"
        with (
            pytest.raises(ClusterError, match=f"no Ray cluster is at {address}: nobody answers"),
            connected(address, deadline_s=0.2),
        ):
            pass
