"""The web service's own thread and sockets, in this process, with a control that is made up."""

import socket
import threading

import httpx2
import pytest

from streamderain.errors import OutputError
from streamderain.service import server as server_module
from streamderain.service.server import WebService
from tests.fake_control import FakeControl, settings
from tests.waiting import until


@pytest.fixture
def served():
    service = WebService(settings(address="127.0.0.1:0"))
    service.start(FakeControl("gate"), lambda text: text)
    yield service
    service.stop()


def port_of(service):
    return int(service.address.rstrip("/").rpartition(":")[2])


def connect(service):
    plain = socket.create_connection(("127.0.0.1", port_of(service)))
    plain.settimeout(10)
    return plain


def is_hung_up(plain):
    """Wait until the other side has closed a connection, in whichever way."""
    try:
        return plain.recv(1) == b""
    except ConnectionResetError:
        return True


def test_it_answers_until_it_is_stopped_and_gives_its_port_back():
    service = WebService(settings(address="127.0.0.1:0"))
    port = port_of(service)
    service.start(FakeControl("gate"), lambda text: text)
    assert httpx2.get(f"{service.address}healthz").json()["ok"]
    with pytest.raises(OutputError, match="is in use"):
        WebService(settings(address=f"127.0.0.1:{port}"))
    service.stop()
    service.stop()
    names = [thread.name for thread in threading.enumerate()]
    assert "service" not in names
    again = WebService(settings(address=f"127.0.0.1:{port}"))
    again.stop()


def test_a_name_with_several_addresses_is_the_one_that_everybody_tries():
    service = WebService(settings(address="localhost:0"))
    assert service.address.startswith("http://127.0.0.1:")
    service.stop()


def test_it_is_found_over_ipv6_too():
    try:
        service = WebService(settings(address="[::1]:0"))
    except OutputError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    service.start(FakeControl("gate"), lambda text: text)
    assert service.address.startswith("http://[::1]:")
    assert httpx2.get(f"{service.address}healthz").json()["ok"]
    service.stop()


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch, served):
    monkeypatch.setattr(server_module, "SILENT_S", 0.1)
    with connect(served) as silent, connect(served) as half:
        half.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert is_hung_up(silent) and is_hung_up(half)


def test_a_second_request_has_to_come_as_fast_as_the_first(monkeypatch, served):
    monkeypatch.setattr(server_module, "SILENT_S", 0.1)
    with connect(served) as plain, connect(served) as brisk:
        for each in (plain, brisk):
            each.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert answer_of(each).endswith(b"}")
            each.sendall(b"GET /healthz HTTP/1.1\r\n")
        brisk.sendall(b"Host: 127.0.0.1\r\n\r\n")
        assert answer_of(brisk).endswith(b"}")
        assert is_hung_up(plain)
        brisk.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert answer_of(brisk).endswith(b"}")


def answer_of(plain):
    heard = b""
    while not heard.endswith(b"}"):
        part = plain.recv(4096)
        assert part, "hung up"
        heard += part
    return heard


def test_there_may_not_be_too_many_connections(monkeypatch, served):
    monkeypatch.setattr(server_module, "CONNECTIONS_MOST", 3)
    kept = [connect(served) for _ in range(3)]
    with connect(served) as plain:
        assert is_hung_up(plain)
    for plain in kept:
        plain.close()
    until(lambda: _is_answered(served))


def _is_answered(service):
    try:
        return httpx2.get(f"{service.address}healthz").status_code == 200
    except httpx2.TransportError:
        return False


def test_the_token_is_hidden(served):
    assert served.hide("the a-token-of-the-tests!") == "the ***!"


@pytest.mark.skipif(
    not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no TCP_USER_TIMEOUT"
)
def test_a_viewer_that_the_system_hangs_up_on_is_counted(monkeypatch, caplog):
    caplog.set_level("DEBUG", "streamderain")
    monkeypatch.setattr(server_module, "STUCK_S", 0.25)  # of the system's limit alone
    service, control = WebService(settings(address="127.0.0.1:0")), FakeControl("gate")
    over = threading.Event()

    def live():
        value = 0
        while not over.wait(0.02):
            value += 1
            control.show("gate", value % 200)

    service.start(control, lambda text: text)
    camera = threading.Thread(target=live)
    camera.start()
    try:
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            lazy.connect(("127.0.0.1", port_of(service)))
            lazy.sendall(
                b"GET /api/v1/cameras/gate/stream.mjpeg?fps=30 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            )
            until(lambda: _metric(service, "streamderain_viewers_stuck_total") == 1, timeout=9)
        assert _metric(service, "streamderain_viewers") == 0
        said = "a viewer at 127.0.0.1 took nothing of gate and was hung up on"
        assert said in [record.getMessage() for record in caplog.records]
    finally:
        over.set()
        camera.join()
        service.stop()


def _metric(service, name):
    lines = httpx2.get(f"{service.address}metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))
