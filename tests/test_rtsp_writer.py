"""RTSP out, packet by packet: what is announced, when it was taken, and who may publish."""

import logging
import socket
import ssl
import struct
import subprocess
import threading
import time
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest

from streamderain.errors import OutputError
from streamderain.live.supervision import Backoff
from streamderain.writers import rtsp
from streamderain.writers.rtsp_encoder import EncoderSettings, LiveEncoder, RtpPacker, is_rtcp
from streamderain.writers.rtsp_message import Access, parse_answer, parse_transport
from streamderain.writers.rtsp_policy import Publishing
from tests.clips import picture
from tests.pushing import START, STEP, Clock, frame, sent, writer
from tests.rtsp_fake import FakeServer
from tests.waiting import until

PASSWORD = 'p@ss/w"rd?#&'


def ticks_of(packets):
    """RTP times of the pictures, each once, in order."""
    times = [struct.unpack(">I", packet[4:8])[0] for packet in packets]
    return list(dict.fromkeys(times))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_stream_is_announced_set_up_recorded_and_torn_down(transport):
    with FakeServer() as server:
        pusher = writer(server, transport=transport)
        assert sent(pusher, map(frame, range(10))) == 10
        until(lambda: len(ticks_of(server.rtp())) == 10)
        pusher.close()
        pusher.close()
        until(lambda: "TEARDOWN" in server.methods)
        assert server.methods == [
            "OPTIONS", "ANNOUNCE", "SETUP", "RECORD", "OPTIONS", "TEARDOWN",
        ]  # fmt: skip
        _, headers, description = server.requests[1]
        assert headers["Content-Type"] == "application/sdp"
        assert b"H264/90000" in description
        assert b"sprop-parameter-sets=Z" in description
        assert b"profile-level-id=64" in description
        assert all(headers.get("Session") == "4711" for _, headers, _ in server.requests[3:])
        assert ("RTP/AVP/UDP" in server.requests[2][1]["Transport"]) == (transport == "udp")


def test_timestamps_are_the_cameras_and_reports_tell_its_wall_clock():
    with FakeServer() as server:
        gaps = [0, 1, 2, 3, 10, 11, 60, 61]  # in frames; two pauses
        began, clock = time.time_ns() - 300_000_000, Clock()
        pusher = writer(server, clock=clock)
        for gap in gaps:
            clock.now = 100 + gap * STEP / 1e9
            pusher.write(frame(gap, taken=began + gap * STEP))
        until(lambda: len(ticks_of(server.rtp())) == len(gaps))
        ticks = ticks_of(server.rtp())
        assert [(tick - ticks[0]) % 2**32 for tick in ticks] == [gap * 3600 for gap in gaps]
        wall, at = server.reports()[0]
        of_first = wall - ((at - ticks[0] + 2**31) % 2**32 - 2**31) / 90000
        assert of_first == pytest.approx(began / 1e9, abs=0.002)
        pusher.close()


def test_pictures_with_the_same_time_still_come_one_after_the_other():
    with FakeServer() as server:
        pusher = writer(server)
        sent(pusher, [frame(0, taken=START) for _ in range(5)])
        until(lambda: len(ticks_of(server.rtp())) == 5)
        pusher.close()


@pytest.mark.parametrize(
    "second",
    [frame(1, session=1), frame(1, size=(64, 48)), frame(1, taken=START + 3_600_000_000_000)],
    ids=["session", "size", "clock that was set"],
)
def test_what_changes_is_announced_anew_at_once(second):
    with FakeServer() as server:
        pusher = writer(server)
        assert sent(pusher, [frame(0), second]) == 2
        until(lambda: server.methods.count("RECORD") == 2)
        assert server.methods.count("TEARDOWN") == 1
        assert pusher.announcements == 2
        pusher.close()


@pytest.mark.parametrize("method", ["basic", "digest", "sha256", "qop"])
def test_user_and_password_are_given_as_the_server_wants_them(method, caplog):
    caplog.set_level(logging.DEBUG)
    with FakeServer(user="camera", password=PASSWORD, method=method) as server:
        right = writer(server, user="camera", password=PASSWORD)
        assert sent(right, [frame(0), frame(1)]) == 2
        right.close()
        wrong = writer(server, user="camera", password=f"not {PASSWORD}")
        assert sent(wrong, [frame(0), frame(1)]) == 0
        assert sent(writer(server), [frame(0)]) == 0
    refusals = [text for text in caplog.messages if "refuses the user and password" in text]
    assert len(refusals) == 2
    for secret in (PASSWORD, "p@ss", "p%40ss", "camera"):
        assert secret not in caplog.text.replace("DEBUG", "")


def test_a_refused_password_is_not_tried_at_every_frame():
    with FakeServer(user="camera", password="x") as server:
        clock = Clock()
        pusher = writer(server, user="camera", password="y", clock=clock)
        for _ in range(59 * 25):
            sent(pusher, [frame(0)], clock)
        assert server.connections == 1
        for _ in range(2 * 25):
            sent(pusher, [frame(0)], clock)
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"ANNOUNCE": 404}, "doesn't take the stream (404 Said); check its path"),
        ({"ANNOUNCE": 403}, "lets this user publish nothing"),
        ({"SETUP": 461}, "doesn't take packets over tcp; choose the other transport"),
        ({"RECORD": 500}, "doesn't take the stream (500 Said)"),
    ],
)
def test_what_a_server_refuses_is_said_once_with_the_address(answers, words, caplog):
    with FakeServer(answers=answers) as server:
        clock = Clock()
        pusher = writer(server, clock=clock)
        for _ in range(50):
            sent(pusher, [frame(0)], clock)
        assert server.connections >= 1
        assert len(caplog.messages) == 1
        assert server.url() in caplog.text
        assert words in caplog.text


def test_a_server_that_answers_no_options_still_gets_the_stream():
    with FakeServer(answers={"OPTIONS": 501}) as server:
        pusher = writer(server)
        assert sent(pusher, [frame(0)]) == 1
        pusher.close()


@pytest.mark.parametrize("method", ["OPTIONS", "ANNOUNCE", "RECORD"])
def test_a_server_that_falls_silent_is_given_up_in_time(method, caplog):
    with FakeServer(silent_after=method) as server:
        pusher = writer(server, timeout=0.5)
        began = time.monotonic()
        noise = [frame(index, size=(480, 640)) for index in range(3)]
        while not caplog.records or "takes the stream" in caplog.messages[-1]:
            sent(pusher, noise)
            assert time.monotonic() - began < 10
        assert "didn't answer in time" in caplog.text
        if method == "OPTIONS":  # the next answer is the one that doesn't come
            assert time.monotonic() - began < 2
        pusher.close()


@pytest.mark.parametrize(("answered", "announcements"), [(1, 1), (None, 1), (4, 2)])
def test_a_server_that_stops_answering_is_given_up_one_that_never_did_is_not(
    answered, announcements
):
    with FakeServer(options=answered) as server, closing(writer(server, clock=Clock())) as pusher:
        clock, asked = pusher._clock, 0
        for number in range(30):  # a frame a second
            taken = sent(pusher, [frame(number, taken=START + number * 10**9)])
            if pusher.announcements == 2:
                break
            if number % 2 == 0 and taken:
                asked += 1  # it asks at half the time after which the session would end
                until(lambda asked=asked: server.handled >= 4 + asked)
            if not taken:
                server.options = 100  # well again
            clock.now += 1
        assert pusher.announcements == announcements
        assert server.methods.count("OPTIONS") >= 6


def test_a_server_that_takes_nothing_is_said_goodbye_to_quickly():
    with FakeServer(silent_after="RECORD") as server:
        pusher = writer(server, timeout=30.0)
        noise = np.random.default_rng(1).integers(0, 255, (480, 640, 3), dtype=np.uint8)
        big = [frame(index) for index in range(60)]
        for each in big:
            each.pixels = noise
        thread = threading.Thread(target=sent, args=(pusher, big), daemon=True)
        thread.start()
        until(lambda: server.methods[-1:] == ["RECORD"])
        thread.join(1.0)
        began = time.monotonic()
        pusher.close()
        thread.join(5)
        assert not thread.is_alive()
        assert time.monotonic() - began < 4


def test_timestamps_go_on_when_their_32_bits_are_full():
    encoder = LiveEncoder(48, 64, EncoderSettings(), 25.0)
    packer = RtpPacker(START, 1234)
    found = []
    for number in range(20):
        ticks = 2**32 - 10 * 3600 + number * 3600
        packets = packer.pack(encoder.encode(picture(48, 64, number), ticks))
        found += ticks_of([each for each in packets if not is_rtcp(each)])
    steps = {(after - before) % 2**32 for before, after in pairwise(found)}
    assert (len(found), steps) == (20, {3600})


def test_a_writer_that_waits_for_the_server_can_be_closed():
    with FakeServer(silent_after="OPTIONS") as server:
        pusher = writer(server, timeout=30.0)
        thread = threading.Thread(target=sent, args=(pusher, [frame(0)]))
        thread.start()
        until(lambda: "ANNOUNCE" in server.methods or server.connections)
        began = time.monotonic()
        pusher.close()
        thread.join(5)
        assert not thread.is_alive()
        assert time.monotonic() - began < 3


def test_no_server_and_no_host_are_named_and_tried_again(caplog):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"rtsp://127.0.0.1:{free.getsockname()[1]}/gate"
    pusher = writer(None, nobody)
    until(lambda: sent(pusher, [frame(0)]) or pusher._policy._waits._tries > 2)
    assert caplog.messages == [f"gate: {nobody} can't be reached: Connection refused"]
    caplog.clear()
    sent(writer(None, "rtsp://nowhere.invalid/gate"), [frame(0)])
    assert "there is no host of that name" in caplog.text


def test_the_servers_reports_and_questions_are_not_taken_for_answers():
    head = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: ab;timeout=30\r\nContent-Length: 2"
    answer = parse_answer(head)
    assert (answer.status, answer.session, answer.session_timeout_s) == (200, "ab", 30)
    assert answer.length == 2
    assert parse_answer(b"GET_PARAMETER rtsp://x RTSP/1.0\r\nCSeq: 1") is None
    assert parse_transport("RTP/AVP;unicast;server_port=5-6")["server_port"] == "5-6"


def test_over_tls_a_server_that_cannot_be_trusted_is_refused_and_a_known_one_is_not(
    tmp_path, monkeypatch, caplog
):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", certificate],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl is needed to make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with FakeServer(wrap=lambda plain: context.wrap_socket(plain, server_side=True)) as server:
        address = f"rtsps://localhost:{server.port}/gate"
        assert sent(writer(server, address=address), [frame(0)]) == 0
        assert "certificate can't be trusted" in caplog.text
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        pusher = writer(server, address=address)
        assert sent(pusher, [frame(0)]) == 1
        pusher.close()


@pytest.mark.parametrize("realm", ["realm=, ", "realm, ", ""])
def test_a_challenge_that_is_odd_is_answered_as_well_as_can_be(realm):
    answer = parse_answer(f'RTSP/1.0 401 No\r\nWWW-Authenticate: Digest {realm}nonce="n"'.encode())
    access = Access("someone", PASSWORD)
    assert access.challenged(answer)
    assert 'realm=""' in access.headers("ANNOUNCE", "rtsp://h/x")["Authorization"]


def test_what_nobody_expected_leaves_no_connection_behind(monkeypatch):
    opened = []

    class Odd(rtsp.RtspSession):
        def open(self, description):
            opened.append(self)
            self._connect(self._clock() + 5)
            raise RuntimeError("odd")

    monkeypatch.setattr(rtsp, "RtspSession", Odd)
    with FakeServer() as server:
        with pytest.raises(RuntimeError, match="odd"):
            writer(server).write(frame(0))
        assert [session._socket for session in opened] == [None]


def test_an_encoder_that_fails_at_each_frame_is_not_announced_at_each(monkeypatch):
    class Failing(LiveEncoder):
        def encode(self, pixels, ticks):
            raise OutputError("the encoder takes no frame")

    monkeypatch.setattr(rtsp, "LiveEncoder", Failing)
    with FakeServer() as server:
        clock, failed = Clock(), 0
        pusher = writer(server, clock=clock)
        pusher._policy = Publishing(Backoff(10.0, 10.0, rng=lambda: 1.0))
        for number in range(100):  # 4 s
            try:
                sent(pusher, [frame(number)], clock)
            except OutputError as error:
                failed += 1
                assert str(error) == "the encoder takes no frame"
        assert (failed, pusher.announcements, server.connections) == (1, 1, 1)
        clock.now += 10
        with pytest.raises(OutputError, match="takes no frame"):
            pusher.write(frame(100))
        pusher.close()
