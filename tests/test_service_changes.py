"""Cameras that are added and changed over REST: what stays as it was, and what is kept secret."""

import json

import pytest
from starlette.testclient import TestClient

from streamderain.config import CameraConfig, RunConfig
from streamderain.errors import CameraExistsError
from streamderain.inference.create import create_backend
from streamderain.live.service import LiveService
from streamderain.service.app import make_app
from tests.fake_control import PASSWORD, TOKEN, settings

BEARER = {"Authorization": f"Bearer {TOKEN}"}
CAMERAS = "/api/v1/cameras"


@pytest.fixture
def service(tmp_path):
    """A real service that hasn't been started: it connects to nothing."""
    output = {"type": "zeromq", "address": f"ipc://{tmp_path / 'frames.ipc'}"}
    gate = {"source": "rtsp://h.example:8554/a", "user": "viewer", "password": PASSWORD}
    config = RunConfig.model_validate(
        {"model": "null", "defaults": {"outputs": [output]}, "cameras": {"gate": gate}}
    )
    made = LiveService(config, create_backend("null", "cpu"))
    yield made
    made.stop()


@pytest.fixture
def client(service):
    app = make_app(settings(), service.control, service.hide)
    with TestClient(app, base_url="http://127.0.0.1:8080", headers=BEARER) as client:
        yield client


def test_adding_a_camera_leaves_one_of_that_name_alone(client, service):
    alone, before = {"If-None-Match": "*"}, service.control.config()
    answer = client.put(f"{CAMERAS}/gate", json={"source": "scene"}, headers=alone)
    assert answer.status_code == 412
    said = "there is a camera gate already; change it, or choose another name"
    assert answer.json() == {"error": said}
    assert service.control.config() == before
    answer = client.put(f"{CAMERAS}/yard", json={"source": "scene"}, headers=alone)
    assert answer.status_code == 201
    assert client.put(f"{CAMERAS}/yard", json={"source": "scene:light"}).status_code == 200
    with pytest.raises(CameraExistsError):
        service.control.put("yard", CameraConfig(source="scene"), only_new=True)


def test_the_openapi_document_says_how_a_camera_is_only_added(client):
    document = json.loads(client.get("/api/v1/openapi.json").text)
    put = document["paths"][f"{CAMERAS}/{{id}}"]["put"]
    header = next(one for one in put["parameters"] if one["in"] == "header")
    assert header["name"] == "If-None-Match"
    assert "412" in put["responses"]


HERE = "rtsp://h.example:8554"
KEPT = {"user": "***", "password": "***"}


def stored(service):
    """The address that the camera gate is really asked at."""
    return service._fleet.unit("gate").camera.parsed.address


@pytest.mark.parametrize(
    "body",
    [
        {"source": f"{HERE}/b", **KEPT, "max_fps": 3},
        {"source": "RTSP://H.example:8554/b", **KEPT},
        {"source": f"{HERE}/b", "user": "viewer", "password": "***"},
        {"source": "rtsp://viewer@h.example:8554/b", "password": "***"},
        {"source": "rtsp://***@h.example:8554/b"},
    ],
)
def test_user_and_password_are_kept_where_they_were_meant_for(client, service, body):
    before = stored(service)
    answer = client.put(f"{CAMERAS}/gate", json=body)
    assert answer.status_code == 200, answer.text
    assert stored(service).lower() == before.lower().replace("/a", "/b")
    assert PASSWORD not in answer.text + client.get("/api/v1/config").text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"source": "rtsp://evil.example:8554/a", **KEPT}, "enter them anew"),
        ({"source": "rtsp://***@evil.example:8554/a"}, "enter them anew"),
        ({"source": "rtsp://h.example:554/a", **KEPT}, "enter them anew"),
        ({"source": "rtsp://h.example/a", **KEPT}, "enter them anew"),
        ({"source": "http://h.example:8554/a", **KEPT}, "enter them anew"),
        ({"source": "rtsp://h.example:8554.evil.example/a", **KEPT}, ""),
        ({"source": "rtsp://evil.example:8554/@h.example:8554/a", **KEPT}, ""),
        ({"source": "rtsp://h.example:8554\\@evil.example/a", **KEPT}, ""),
        ({"source": "rtsp://h.example:8554?@evil.example/a", **KEPT}, ""),
        ({"source": "rtsp://h.example:8554#@evil.example/a", **KEPT}, ""),
        ({"source": f"{HERE}/a", "user": "admin", "password": "***"}, "for the same user alone"),
        ({"source": f"{HERE}/a", "password": "***"}, "for the same user alone"),
        ({"source": "rtsp://admin@h.example:8554/a", "password": "***"}, "same user alone"),
        ({"source": "rtsp://evil.example/a", "user": "***", "password": "new"}, "enter them anew"),
    ],
)
def test_they_are_kept_for_no_other_place_and_no_other_user(client, service, body, said):
    before = stored(service)
    answer = client.put(f"{CAMERAS}/gate", json=body)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["error"]
    assert PASSWORD not in answer.text and "viewer" not in answer.text
    assert stored(service) == before


def test_a_new_password_goes_with_the_user_that_is_kept(client, service):
    body = {"source": f"{HERE}/a", "user": "***", "password": "new"}
    assert client.put(f"{CAMERAS}/gate", json=body).status_code == 200
    assert stored(service) == "rtsp://viewer:new@h.example:8554/a"


def test_what_stood_in_the_address_is_kept_too(client, service):
    body = {"source": "rtsp://a%40b:c%2Fd@h.example/a"}
    assert client.put(f"{CAMERAS}/gate", json=body).status_code == 200
    shown = client.get("/api/v1/config").json()["cameras"]["gate"]
    changed = {"source": shown["source"], "max_fps": 3}
    assert client.put(f"{CAMERAS}/gate", json=changed).status_code == 200
    assert stored(service) == "rtsp://a%40b:c%2Fd@h.example/a"


def test_what_is_no_address_keeps_nothing_and_what_is_new_has_nothing_to_keep(client, service):
    answer = client.put(f"{CAMERAS}/new", json={"source": f"{HERE}/a", **KEPT})
    assert answer.status_code == 422
    assert "there is none" in answer.json()["error"]
    assert client.put(f"{CAMERAS}/gate", json={"source": "scene", **KEPT}).status_code == 200
    own = service._fleet.unit("gate").camera
    assert (own.user, own.password) == (None, None)
    answer = client.put(f"{CAMERAS}/gate", json={"source": f"{HERE}/a", **KEPT})
    assert answer.status_code == 422


def test_without_the_mark_a_changed_camera_has_no_password(client, service):
    assert client.put(f"{CAMERAS}/gate", json={"source": f"{HERE}/a"}).status_code == 200
    assert stored(service) == f"{HERE}/a"
