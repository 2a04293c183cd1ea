"""The WebSocket with reports and pictures, with a control that is made up."""

import asyncio
import json
import time

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from streamderain.service import live as live_module
from streamderain.service import viewers as viewers_module
from streamderain.service.app import make_app
from streamderain.service.mjpeg import MjpegResponse
from streamderain.service.shapes import StreamQuery
from streamderain.service.shots import Shots
from streamderain.service.viewers import Viewers
from tests.fake_control import TOKEN, FakeControl, settings
from tests.waiting import until

LIVE = "ws://127.0.0.1:8080/api/v1/live"


def client_of(control, **changed):
    return TestClient(make_app(settings(**changed), control, control.hide))


class Viewer:
    """A client that keeps what it hears."""

    def __init__(self, socket):
        self.socket = socket
        self.reports = []

    def say(self, **message):
        self.socket.send_text(json.dumps(message))

    def watch(self, **cameras):
        self.say(watch=cameras)

    def report(self):
        """Return the next report."""
        while True:
            message = self.socket.receive()
            if message["type"] == "websocket.close":
                raise WebSocketDisconnect(message["code"])
            if message.get("text") is not None:
                return json.loads(message["text"])

    def picture(self):
        """Return the next picture: camera, version, pixels; reports before it are kept."""
        while True:
            message = self.socket.receive()
            if message.get("bytes") is not None:
                data = message["bytes"]
                end = 1 + data[0]
                shown = cv2.imdecode(np.frombuffer(data[end + 8 :], np.uint8), 1)
                return data[1:end].decode(), int.from_bytes(data[end : end + 8], "big"), shown
            self.reports.append(json.loads(message["text"]))


@pytest.fixture
def control():
    return FakeControl("gate", "yard")


@pytest.fixture
def viewer(control):
    with client_of(control) as client, client.websocket_connect(LIVE) as socket:
        yield Viewer(socket)


def test_the_first_report_comes_at_once_and_the_next_within_a_second(viewer):
    first, second = viewer.report(), viewer.report()
    assert [camera["camera"] for camera in first["cameras"]] == ["gate", "yard"]
    assert first["model"]["name"] == "video-s"
    assert second["cameras"] == first["cameras"]


def test_a_report_that_fails_is_logged_and_the_next_one_comes(viewer, control, monkeypatch, caplog):
    viewer.report()

    def fail():
        monkeypatch.undo()
        raise RuntimeError("a defect")

    monkeypatch.setattr(control, "cameras", fail)
    assert viewer.report()
    assert "the cameras can't be reported" in caplog.text


def test_a_change_is_told_before_the_second_is_over(viewer, control, monkeypatch):
    monkeypatch.setattr(viewers_module, "REPORT_S", 3600.0)
    viewer.report()
    control.put("new", None)
    assert [camera["camera"] for camera in viewer.report()["cameras"]] == ["gate", "yard", "new"]


def test_a_picture_waits_until_the_one_before_was_drawn(viewer, control):
    control.show("gate")
    viewer.watch(gate={"view": "both", "width": 32, "fps": 60})
    name, version, shown = viewer.picture()
    assert (name, version, shown.shape) == ("gate", 1, (24, 64, 3))
    for _ in range(20):
        control.show("gate")
    began = len(viewer.reports)
    viewer.reports.append(viewer.report())
    viewer.reports.append(viewer.report())
    assert len(viewer.reports) == began + 2
    viewer.say(ack="gate")
    assert viewer.picture()[1] == 21


def test_each_camera_goes_at_its_own_pace(viewer, control):
    control.show("gate")
    control.show("yard")
    viewer.watch(gate={"fps": 60}, yard={"fps": 60})
    assert {viewer.picture()[0], viewer.picture()[0]} == {"gate", "yard"}
    for version in (2, 3, 4):
        control.show("yard")
        viewer.say(ack="yard")
        assert viewer.picture()[:2] == ("yard", version)


def test_what_is_not_watched_any_more_does_not_come(viewer, control):
    control.show("gate")
    control.show("yard")
    viewer.watch(gate={"fps": 60})
    assert viewer.picture()[0] == "gate"
    viewer.say(ack="gate")
    viewer.watch(yard={"fps": 60})
    control.show("gate")
    assert viewer.picture()[0] == "yard"


def test_a_picture_that_was_due_when_the_client_turned_away_is_not_made(control):
    shots = Shots()
    client = live_module._Client(None, Viewers(control, shots), lambda socket: True)
    control.show("gate")
    client._feed.watch({"gate": StreamQuery()}, 0.0)
    (due,) = client._feed.due(1.0)
    client._feed.watch({}, 1.0)
    asyncio.run(client._make(due))
    assert shots.encoded == 0


def test_another_view_of_a_camera_that_stands_still_is_sent(viewer, control):
    control.show("gate")
    viewer.watch(gate={"view": "after"})
    assert viewer.picture()[2].shape == (48, 64, 3)
    viewer.say(ack="gate")
    viewer.watch(gate={"view": "both"})
    assert viewer.picture()[2].shape == (48, 128, 3)


def test_a_camera_that_comes_later_or_goes_is_no_error(viewer, control):
    viewer.watch(new={"fps": 60})
    viewer.report()
    control.put("new", None)
    control.show("new")
    assert viewer.picture()[0] == "new"
    control.remove("new")
    viewer.say(ack="new")
    assert viewer.report()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "7", '{"watch": 7}', '{"watch": {"gate": {"fps": 0}}}', '{"look": 1}',
        '{"watch": {"../etc": {}}}', '{"watch": {"gate": {"view": "left"}}}', '{"ack": 7}',
        '{"watch": {"gate": {"fps": 1e999}}}', '{"watch": {"gate": {"width": 1000000}}}',
    ],
)  # fmt: skip
def test_who_talks_nonsense_is_told_so_and_let_go(viewer, text):
    viewer.report()
    viewer.socket.send_text(text)
    with pytest.raises(WebSocketDisconnect) as closed:
        while True:
            said = viewer.report()
            assert "error" in said or "cameras" in said
    assert closed.value.code == 1008


@pytest.mark.parametrize(
    ("headers", "changed", "status"),
    [
        ({"origin": "http://evil.example"}, {}, 403),
        ({"origin": "null"}, {}, 403),
        ({"host": "evil.example"}, {}, 403),
        ({"sec-fetch-site": "cross-site"}, {}, 403),
        ({"authorization": "Bearer wrong"}, {}, 401),
        ({}, {"address": "0.0.0.0:8080"}, 401),
        ({"cookie": "streamderain_8080=1.2.3"}, {"address": "0.0.0.0:8080"}, 401),
    ],
)
def test_who_may_not_read_gets_no_socket(control, headers, changed, status):
    with client_of(control, **changed) as client:
        with pytest.raises(WebSocketDenialResponse) as denied:
            client.websocket_connect(LIVE, headers=headers).__enter__()
        assert denied.value.status_code == status
        assert set(denied.value.json()) == {"error"}


def test_a_wrong_token_is_answered_late(control, monkeypatch):
    monkeypatch.setattr(live_module, "WRONG_TOKEN_S", 1.0)
    with client_of(control) as client:
        began = time.monotonic()
        with pytest.raises(WebSocketDenialResponse):
            client.websocket_connect(LIVE, headers={"authorization": "Bearer guess"}).__enter__()
        assert time.monotonic() - began >= 1


def test_with_the_token_it_opens_from_elsewhere(control):
    headers = {"authorization": f"Bearer {TOKEN}", "origin": "http://127.0.0.1:8080"}
    with (
        client_of(control, address="0.0.0.0:8080") as client,
        client.websocket_connect(LIVE, headers=headers) as socket,
    ):
        assert Viewer(socket).report()


def test_there_may_not_be_too_many(control, monkeypatch):
    monkeypatch.setattr(viewers_module, "VIEWERS_MOST", 1)
    with client_of(control) as client:
        with client.websocket_connect(LIVE) as socket:
            Viewer(socket).report()
            with pytest.raises(WebSocketDenialResponse) as denied:
                client.websocket_connect(LIVE).__enter__()
            assert denied.value.status_code == 503

        def free():
            try:
                with client.websocket_connect(LIVE) as socket:
                    return Viewer(socket).report()
            except WebSocketDenialResponse:
                return None

        until(free)


def test_the_page_and_its_cameras_cost_nothing_while_nobody_looks(control, monkeypatch):
    asked = []
    monkeypatch.setattr(control, "cameras", lambda: asked.append(1) or [])
    with client_of(control) as client:
        client.get("http://127.0.0.1:8080/healthz")
        assert asked == []
        with client.websocket_connect(LIVE) as socket:
            Viewer(socket).report()
        assert asked


def test_a_picture_that_can_not_be_made_costs_the_viewer_nothing_else(viewer, control, monkeypatch):
    control.show("gate")
    pair = control.pair("gate")
    wide = np.zeros((1, 40_000, 3), np.uint8)
    control.pairs["gate"] = type(pair)(1, wide, wide, pair.frame)
    control.show("yard")
    viewer.watch(gate={"view": "both"}, yard={})
    assert viewer.picture()[0] == "yard"
    assert viewer.report()


def test_the_messages_of_pictures_begin_with_their_camera():
    shot = live_module.Shot(2**40 + 5, b"\xff\xd8")
    assert live_module.pack("gate", shot) == b"\x04gate\x00\x00\x01\x00\x00\x00\x00\x05\xff\xd8"


def test_who_signs_out_sees_nothing_more(control):
    with client_of(control, address="0.0.0.0:8080") as client:
        base = "http://127.0.0.1:8080/api/v1/session"
        client.post(base, json={"token": TOKEN})
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        with client.websocket_connect(LIVE, headers={"cookie": cookie}) as socket:
            viewer = Viewer(socket)
            viewer.report()
            client.delete(base)
            with pytest.raises(WebSocketDisconnect) as closed:
                while True:
                    viewer.report()
            assert closed.value.code == 1008


def test_who_signs_out_sees_no_more_of_motion_jpeg_either(control):
    viewers, given, rights = Viewers(control, Shots()), [], [True, True, False]
    control.show("gate")

    async def serve():
        async def send(message):
            given.append(message.get("body", b""))
            control.show("gate")

        stream = MjpegResponse(viewers, "gate", StreamQuery(fps=60), lambda: rights.pop(0))
        async with asyncio.timeout(10):
            await stream({"type": "http", "method": "GET"}, asyncio.Event().wait, send)

    asyncio.run(serve())
    assert rights == []
    assert sum(b"image/jpeg" in body for body in given) in (1, 2)
    assert viewers.tally.watching == 0
