"""REST of the web service, with a control that is made up."""

import threading

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from streamderain.config import CameraConfig
from streamderain.errors import ConfigError, OutputError, UnknownCameraError
from streamderain.service.app import make_app
from tests.fake_control import PASSWORD, TOKEN, settings
from tests.rest import API, BEARER, client_of, refusal


def test_cameras_are_listed_with_all_that_a_page_needs(client):
    cameras = client.get(f"{API}/cameras").json()["cameras"]
    assert [camera["camera"] for camera in cameras] == ["gate", "yard"]
    gate = cameras[0]
    assert (gate["state"], gate["size"], gate["rain"]) == ("live", [64, 48], 0.83)
    assert (gate["decoded"], gate["fps"], gate["fps_out"]) == (100, 24.9, 12.45)
    assert gate["outputs"]["publish"] == {"written": 80, "waiting": 3, "dropped": {"publish": 4}}
    assert gate["latency_ms"]["total"]["p50"] == pytest.approx(115.0)
    assert "history" not in gate


def test_one_camera_comes_with_its_history(client):
    gate = client.get(f"{API}/cameras/gate").json()
    assert gate["history"] == [
        {"t": 999.0, "fps": 25.0, "rain": 0.8, "derained": 1.0, "latency_ms": 80.0}
    ]


@pytest.mark.parametrize("path", ["", "/snapshot", "/stream.mjpeg"])
def test_a_camera_that_is_not_there_is_said_to_be_not_there(client, path):
    assert "no camera is named 'none'" in refusal(client.get(f"{API}/cameras/none{path}"), 404)


def test_a_camera_is_added_changed_and_removed(client, control):
    body = {"source": "scene:heavy", "staleness": "300ms", "region": [0, 0, 64, 48]}
    added = client.put(f"{API}/cameras/new", json=body, headers=BEARER)
    assert (added.status_code, added.json()["state"]) == (201, "connecting")
    asked, name, camera = control.asked[-1]
    assert (asked, name) == ("put", "new")
    assert isinstance(camera, CameraConfig)
    assert camera.model_fields_set == {"source", "staleness", "region"}
    assert camera.staleness == 0.3
    assert client.put(f"{API}/cameras/new", json=body, headers=BEARER).status_code == 200
    assert client.delete(f"{API}/cameras/new", headers=BEARER).status_code == 204
    refusal(client.delete(f"{API}/cameras/new", headers=BEARER), 404)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "source: is missing"),
        ({"source": "scene", "sorce": 1}, "sorce: unknown key; did you mean source?"),
        ({"source": "scene:fog"}, "the test scene 'scene:fog' is not known"),
        ({"source": "scene", "outputs": [{"type": "zeromq", "adress": "x"}]},
         "outputs[0].adress: unknown key; did you mean address?"),
        ({"source": "scene", "max_fps": -3}, "max_fps: input should be greater than 0, not -3"),
        ({"source": "scene", "staleness": "soon"}, "staleness: a duration is above 0"),
        ([], "should hold keys and values"),
    ],
)  # fmt: skip
def test_a_camera_that_can_not_be_is_refused_with_the_key(client, control, body, said):
    assert said in refusal(client.put(f"{API}/cameras/new", json=body, headers=BEARER), 422)
    assert control.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"source": f"rtsp://viewer:{PASSWORD}@h/x", "password": PASSWORD, "user": 7},
        {"source": f"ftp://viewer:{PASSWORD}@h/x"},
        {"source": [f"rtsp://viewer:{PASSWORD}@h/x"]},
        {"source": "rtsp://h/x", "password": [PASSWORD]},
        {"source": "rtsp://h/x", "password": {"is": PASSWORD}, "user": PASSWORD, "queue": 0},
    ],
)
def test_an_error_says_no_password(client, body):
    said = refusal(client.put(f"{API}/cameras/new", json=body, headers=BEARER), 422)
    assert PASSWORD not in said
    assert "p@ss" not in said


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (ConfigError("two outputs differ"), 422),
        (OutputError(f"the address of {PASSWORD} is in use"), 409),
        (UnknownCameraError("gone"), 404),
        (RuntimeError(f"a defect with {PASSWORD}"), 500),
    ],
)
def test_what_the_control_can_not_do_is_an_error_without_secrets(
    client, control, monkeypatch, problem, status
):
    def fail(*given, **more):
        raise problem

    monkeypatch.setattr(control, "put", fail)
    answer = client.put(f"{API}/cameras/new", json={"source": "scene"}, headers=BEARER)
    assert PASSWORD not in refusal(answer, status)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_camera_is_steered(client, control):
    for body in ({"paused": True}, {"mode": "on"}, {}, {"paused": False, "mode": "off"}):
        answer = client.post(f"{API}/cameras/gate/steer", json=body, headers=BEARER)
        assert (answer.status_code, answer.json()["camera"]) == (200, "gate")
    assert control.asked == [
        ("steer", "gate", True, None), ("steer", "gate", None, "on"),
        ("steer", "gate", None, None), ("steer", "gate", False, "off"),
    ]  # fmt: skip
    for wrong in ({"mode": "maybe"}, {"pause": True}, {"paused": "perhaps"}):
        refusal(client.post(f"{API}/cameras/gate/steer", json=wrong, headers=BEARER), 422)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b'{"mode": "\\ud800"}', "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"paused=true", "application/x-www-form-urlencoded", 415),
        (b" " * 70_000, "application/json", 413),
        (b"{}", "application/json; charset=utf-8", 200),
    ],
)
def test_what_is_no_json_is_said_to_be_none(client, content, kind, status):
    headers = {**BEARER, "Content-Type": kind}
    answer = client.post(f"{API}/cameras/gate/steer", content=content, headers=headers)
    assert answer.status_code == status
    if status != 200:
        refusal(answer, status)


CHANGES = [
    ("PUT", "/cameras/new", {"source": "scene"}), ("DELETE", "/cameras/gate", None),
    ("POST", "/cameras/gate/steer", {"paused": True}), ("POST", "/model", {"model": "video-s"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Cookie": "streamderain_8080=1.2.3"}, 401),
        ({**BEARER, "Origin": "http://evil.example"}, 403),
        ({**BEARER, "Host": "evil.example"}, 403),
        ({**BEARER, "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_without_the_token_or_from_elsewhere_nothing_changes(
    client, control, method, path, body, headers, status
):
    answer = client.request(method, f"{API}{path}", json=body, headers=headers)
    refusal(answer, status)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert control.asked == []


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_where_no_token_is_set_nothing_can_be_changed(control, method, path, body):
    with client_of(control, token=None) as client:
        said = refusal(client.request(method, f"{API}{path}", json=body, headers=BEARER), 403)
        assert "no token is set" in said
        assert client.get(f"{API}/cameras").status_code == 200
        refusal(client.post(f"{API}/session", json={"token": ""}), 403)
        assert client.get(f"{API}/session").json() == {
            "may_read": True, "may_change": False, "token_needed": False, "signed_in": False,
        }  # fmt: skip
    assert control.asked == []


def test_from_elsewhere_all_but_signing_in_needs_the_token(control):
    with client_of(control, address="0.0.0.0:8080") as client:
        for path in (f"{API}/cameras", f"{API}/config", f"{API}/openapi.json", "/metrics"):
            refusal(client.get(path), 401)
            assert client.get(path, headers=BEARER).status_code == 200
        for path in ("/healthz", "/readyz", f"{API}/session"):
            assert client.get(path).status_code == 200


def test_signing_in_and_out(client, control):
    assert client.get(f"{API}/session").json() == {
        "may_read": True, "may_change": False, "token_needed": True, "signed_in": False,
    }  # fmt: skip
    refusal(client.post(f"{API}/session", json={"token": "wrong"}), 401)
    answer = client.post(f"{API}/session", json={"token": TOKEN})
    signed_in = {"may_read": True, "may_change": True, "token_needed": False, "signed_in": True}
    assert answer.json() == signed_in
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert TOKEN not in cookie
    assert client.get(f"{API}/session").json() == signed_in
    assert client.post(f"{API}/cameras/gate/steer", json={"mode": "on"}).status_code == 200
    kept = dict(client.cookies)
    assert client.delete(f"{API}/session").status_code == 204
    assert dict(client.cookies) == {}
    by_header = client.get(f"{API}/session", headers=BEARER).json()
    assert (by_header["may_change"], by_header["signed_in"]) == (True, False)
    client.cookies.update(kept)
    refusal(client.post(f"{API}/cameras/gate/steer", json={"mode": "on"}), 401)
    assert len(control.asked) == 1


def test_a_cookie_behind_tls_is_for_tls_alone(control):
    app = make_app(settings(hosts=["cam.example.org"]), control, control.hide)
    with TestClient(app, base_url="https://cam.example.org") as client:
        answer = client.post(f"{API}/session", json={"token": TOKEN})
        assert "secure" in answer.headers["set-cookie"].lower()


def test_snapshots_before_after_and_both(client, control):
    assert "no picture yet" in refusal(client.get(f"{API}/cameras/gate/snapshot"), 409)
    control.show("gate", 40)
    for query, shape in (
        ("", (48, 64, 3)), ("?view=before", (48, 64, 3)), ("?view=both", (48, 128, 3)),
        ("?view=both&width=32", (24, 64, 3)), ("?width=4000", (48, 64, 3)),
        ("?format=png&t=12345", (48, 64, 3)),
    ):  # fmt: skip
        answer = client.get(f"{API}/cameras/gate/snapshot{query}")
        kind = "png" if "png" in query else "jpeg"
        assert answer.headers["content-type"] == f"image/{kind}"
        shown = cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1)
        assert shown.shape == shape
    for wrong in ("view=left", "format=gif", "width=0", "width=x", "width=99999"):
        said = refusal(client.get(f"{API}/cameras/gate/snapshot?{wrong}"), 422)
        assert said.startswith(wrong.partition("=")[0])


def test_a_network_is_loaded_and_only_one_at_a_time(client, control, monkeypatch):
    answer = client.post(f"{API}/model", json={"model": "video-s"}, headers=BEARER)
    assert answer.json()["batches"] == {"1": 3, "4": 2}
    assert client.post(f"{API}/model", json={}, headers=BEARER).status_code == 200
    assert control.asked == [("model", "video-s"), ("model", None)]
    said = client.post(f"{API}/model", json={"model": "nothing"}, headers=BEARER)
    assert "no network named" in refusal(said, 422)
    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow(name):
        begun.set()
        go_on.wait(10)
        return control.model_report

    monkeypatch.setattr(control, "reload_model", slow)
    first = threading.Thread(
        target=lambda: done.append(client.post(f"{API}/model", json={}, headers=BEARER))
    )
    first.start()
    assert begun.wait(10)
    refusal(client.post(f"{API}/model", json={}, headers=BEARER), 409)
    go_on.set()
    first.join()
    assert done[0].status_code == 200


def test_the_configuration_is_shown(client):
    assert client.get(f"{API}/config").json()["service"]["token"] == "***"


def test_health_and_readiness(client, control):
    assert client.get("/healthz").json() == {"ok": True, "waiting": None}
    assert client.get("/readyz").status_code == 200
    control.waits_for, control.is_alive = "no picture yet of gate", False
    assert client.get("/readyz").json() == {"ok": False, "waiting": "no picture yet of gate"}
    assert client.get("/readyz").status_code == client.get("/healthz").status_code == 503
    foreign = client.get("/readyz", headers={"X-Forwarded-For": "203.0.113.9"})
    assert foreign.status_code == 503
    assert "gate" not in foreign.text


def test_what_is_not_offered_is_said_in_json(client):
    refusal(client.get("/nothing"), 404)
    refusal(client.get(f"{API}/cameras/"), 404)
    answer = client.patch(f"{API}/cameras/gate")
    refusal(answer, 405)
    assert answer.headers["allow"] == "DELETE, GET, HEAD, PUT"
    refusal(client.options(f"{API}/cameras"), 405)
    answer = client.get(f"{API}/live")
    refusal(answer, 426)
    assert answer.headers["upgrade"] == "websocket"
    head = client.head(f"{API}/cameras")
    assert head.status_code == 200


def test_every_answer_has_the_headers_that_keep_other_pages_out(client):
    for path in ("/", "/healthz", f"{API}/cameras", "/nothing", f"{API}/cameras/none"):
        headers = client.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
    assert client.get(f"{API}/cameras").headers["cache-control"] == "no-store"
