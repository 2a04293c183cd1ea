"""Connections to servers that don't answer."""

import contextlib
import socket
import threading
import time

import pytest

from streamderain.writers.rtsp_session import PushError, RtspSession
from tests.pushing import frame, sent, writer
from tests.rtsp_fake import FakeServer
from tests.waiting import until


@pytest.fixture
def silent():
    """An address whose system answers no connection."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(20):
            probe = waiting.enter_context(socket.socket())
            probe.settimeout(0.3)
            try:
                probe.connect(listening.getsockname())
            except TimeoutError:
                yield listening.getsockname()
                return
        pytest.skip("this system takes connections beyond the backlog")


def resolved_to(monkeypatch, *places):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *asked, **more: found)


def test_the_addresses_of_a_server_share_one_deadline(silent, monkeypatch):
    resolved_to(monkeypatch, *[silent] * 5)
    began = time.monotonic()
    with pytest.raises(PushError, match="didn't answer in time"):
        RtspSession("rtsp://several/gate", shown="it", timeout=1.0).open(b"")
    assert 0.9 < time.monotonic() - began < 4


def test_an_address_that_is_silent_leaves_time_for_the_next(silent, monkeypatch):
    with FakeServer() as server:
        resolved_to(monkeypatch, silent, ("127.0.0.1", server.port))
        pusher = writer(None, "rtsp://several/gate", timeout=4.0)
        assert sent(pusher, [frame(0)]) == 1
        pusher.close()


def test_a_session_that_connects_can_be_ended(silent):
    session = RtspSession(f"rtsp://127.0.0.1:{silent[1]}/gate", shown="it", timeout=60.0)
    found = []

    def connect():
        try:
            session.open(b"")
        except PushError as error:
            found.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    until(lambda: session._socket is not None)
    session.abort()
    thread.join(20)
    assert len(found) == 1
