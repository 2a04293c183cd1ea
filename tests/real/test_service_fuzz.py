"""REST of a real process, fuzzed from its own OpenAPI document by schemathesis."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from tests.real.web import BEARER, TOKEN, Running

API = "/api/v1"
PASSWORD = "hush-hush-sesame"
SCENE = "scene:light?size=160x120&fps=5"

OPEN = [("GET", "/healthz"), ("GET", "/readyz")]
READS = [
    *OPEN, ("GET", "/metrics"), ("GET", f"{API}/cameras"), ("GET", f"{API}/cameras/{{id}}"),
    ("GET", f"{API}/cameras/{{id}}/snapshot"), ("GET", f"{API}/config"), ("GET", f"{API}/live"),
    ("GET", f"{API}/model"), ("GET", f"{API}/openapi.json"), ("GET", f"{API}/session"),
]  # fmt: skip
CHANGES = [
    ("PUT", f"{API}/cameras/{{id}}"), ("DELETE", f"{API}/cameras/{{id}}"),
    ("POST", f"{API}/cameras/{{id}}/steer"), ("POST", f"{API}/model"),
]  # fmt: skip
SIGNING = [("POST", f"{API}/session"), ("DELETE", f"{API}/session")]
ENDLESS = [("GET", f"{API}/cameras/{{id}}/stream.mjpeg")]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    cameras = {
        "gate": {"source": SCENE},
        "yard": {"source": "rtsp://127.0.0.1:1/x", "user": "viewer", "password": PASSWORD},
    }
    with Running(tmp_path_factory.mktemp("fuzz"), cameras) as running:
        running.live("gate")
        yield running
        assert running.client.get("/healthz").status_code == 200
        assert "defect" not in running.said
        assert "Traceback" not in running.said
        assert TOKEN not in running.said and PASSWORD not in running.said


@pytest.fixture(scope="module")
def described(running):
    return schemathesis.openapi.from_url(f"{running.url}{API}/openapi.json")


def fuzz(described, method, path, judge, examples=10):
    """Let a function judge many requests of one operation."""

    @settings(
        max_examples=examples, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=described[path][method].as_strategy(generation_mode=GenerationMode.POSITIVE))
    def right(case):
        judge(tame(case))

    @settings(
        max_examples=examples, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=described[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def wrong(case):
        judge(tame(case))

    right()
    if described[path][method].body or "{id}" in path:
        wrong()


def tame(case):
    """Let a camera that is made up write into the process's own folder alone."""
    body = case.body
    if case.operation.method.upper() == "PUT" and isinstance(body, dict):
        for output in body["outputs"] if isinstance(body.get("outputs"), list) else []:
            if isinstance(output, dict):
                for key in ("folder", "address", "url"):
                    if isinstance(output.get(key), str):
                        output[key] = output[key].lstrip("/").replace("..", "")
    return case


def look(answer):
    """Find no secret in an answer, and no defect."""
    assert answer.status_code < 500 or answer.status_code == 503
    said = answer.content + repr(answer.headers).encode()
    for secret in (TOKEN, PASSWORD):
        assert secret.encode() not in said
    if answer.status_code >= 400 and "healthz" not in answer.request.url:
        found = json.loads(answer.content) if answer.content else {}
        assert "error" in found or "ok" in found or answer.request.method == "HEAD"


def test_all_that_is_described_is_fuzzed(described):
    paths = described.raw_schema["paths"]
    known = {(method.upper(), path) for path, offered in paths.items() for method in offered}
    assert known == {*READS, *CHANGES, *SIGNING, *ENDLESS}


@pytest.mark.parametrize(("method", "path"), [*READS, *SIGNING, *CHANGES])
def test_with_the_token_every_answer_is_as_described(described, method, path):
    def judge(case):
        answer = case.call(headers=BEARER)
        look(answer)
        case.validate_response(
            answer,
            excluded_checks=[
                # What only the program knows: that a source is one, that a camera is there.
                checks.positive_data_acceptance,
                # 503 says that it isn't ready; other statuses from 500 on are found above.
                checks.not_a_server_error,
            ],
        )  # fmt: skip

    fuzz(described, method, path, judge)


def kept(running):
    """What a change would change."""
    cameras = running.client.get(f"{API}/cameras").json()["cameras"]
    model = running.client.get(f"{API}/model").json()
    return (
        [(one["camera"], one["mode"], one["paused"], one["source"]) for one in cameras],
        (model["name"], model["loaded"], model["reloads"]),
        running.client.get(f"{API}/config").json(),
    )


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "streamderain_0=1.2.3"}], ids=str
)
def test_without_the_token_nothing_changes(running, described, method, path, headers):
    before = kept(running)

    def judge(case):
        answer = case.call(headers=headers)
        look(answer)
        assert answer.status_code in (401, 404, 405)

    fuzz(described, method, path, judge, examples=6)
    assert kept(running) == before


@pytest.mark.parametrize(("method", "path"), [*READS, *ENDLESS, *SIGNING, *CHANGES])
def test_another_sites_page_gets_nothing(running, described, method, path):
    before = kept(running)

    def judge(case):
        answer = case.call(headers={**BEARER, "Origin": "http://evil.example"})
        look(answer)
        known = (200, 405, 503) if (method, path) in OPEN else (403, 404, 405)
        assert answer.status_code in known

    fuzz(described, method, path, judge, examples=5)
    assert kept(running) == before
