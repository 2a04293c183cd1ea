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
