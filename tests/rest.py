"""Whoever asks the service over REST: helpers of tests."""

from starlette.testclient import TestClient

from streamderain.service.app import make_app
from tests.fake_control import TOKEN, settings

BEARER = {"Authorization": f"Bearer {TOKEN}"}
API = "/api/v1"


def client_of(control, page=None, **changed):
    more = {} if page is None else {"folder": page}
    app = make_app(settings(**changed), control, control.hide, **more)
    return TestClient(app, base_url="http://127.0.0.1:8080", raise_server_exceptions=False)


def refusal(answer, status):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return answer.json()["error"]
