"""The page's files, the OpenAPI document, health under load, and what is logged of whoever asks."""

import json
import threading
import time

import pytest
from starlette.testclient import TestClient

from streamderain.service import operations
from streamderain.service.app import WORKERS, make_app
from tests.fake_control import settings
from tests.rest import API, BEARER, client_of, refusal


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "page"
    (folder / "deep").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>hello", encoding="utf-8")
    (folder / "deep" / "app.js").write_text("1", encoding="utf-8")
    (folder / "code.py").write_text("SECRET", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("SECRET", encoding="utf-8")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    return folder


def test_the_page_and_its_files_are_for_everyone(control, page):
    with client_of(control, page, address="0.0.0.0:8080") as client:
        answer = client.get("/")
        assert answer.text == "<!doctype html>hello"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        script = client.get("/page/deep/app.js")
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        unchanged = client.get("/", headers={"If-None-Match": answer.headers["etag"]})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        refusal(client.get("/", headers={"Host": "evil.example"}), 403)


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt",
        "deep/../../secret.txt", "..%5csecret.txt", "/etc/passwd", "%2fetc%2fpasswd", "code.py",
        "link.txt", "deep", "", "index.html%00.js", "deep//app.js", "%2e%2findex.html",
        "....//secret.txt", "%252e%252e/secret.txt", "INDEX.HTML",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(control, page, path):
    with client_of(control, page) as client:
        answer = client.get(f"/page/{path}")
        assert answer.status_code in (403, 404)
        assert "SECRET" not in answer.text
        assert "root:" not in answer.text


def test_without_a_page_there_is_none(control):
    app = make_app(settings(page=False), control, control.hide)
    with TestClient(app, base_url="http://127.0.0.1:8080") as client:
        refusal(client.get("/"), 404)
        assert client.get(f"{API}/cameras").status_code == 200


def test_the_openapi_document_is_made_of_what_is_there(client):
    document = json.loads(client.get(f"{API}/openapi.json").text)
    assert document["openapi"] == "3.1.0"
    found = {(path, method) for path, offered in document["paths"].items() for method in offered}
    assert len(found) == 18
    for path, method in found:
        operation = document["paths"][path][method]
        assert operation["operationId"] and operation["summary"] and operation["tags"]
        for status, answer in operation["responses"].items():
            assert answer["description"].endswith("."), (path, method, status)
            is_error = int(status) >= 400 and path not in ("/healthz", "/readyz")
            if is_error:
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorView"}
    change = document["paths"][f"{API}/cameras/{{id}}"]["put"]
    assert change["security"] == [{"token": []}, {"session": []}]
    assert set(change["responses"]) == {
        "200", "201", "400", "401", "403", "404", "408", "409", "412", "413", "415", "422",
    }  # fmt: skip
    read = document["paths"][f"{API}/cameras"]["get"]
    assert read["security"] == [{}, {"token": []}, {"session": []}]
    references = set()

    def look(value):
        if isinstance(value, dict):
            references.update([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for inner in value.values():
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references <= known
    described = document["components"]["schemas"]["CameraConfig"]["properties"]
    assert described["staleness"]["description"]


def test_metrics_and_health_are_answered_while_cameras_that_go_take_all_other_threads(
    client, control, monkeypatch
):
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slowly(name, *, paused=None, mode=None):
        begun.release()
        assert go_on.wait(60)

    monkeypatch.setattr(control, "steer", slowly)
    asked = [
        threading.Thread(
            target=client.post, args=(f"{API}/cameras/gate/steer",),
            kwargs={"json": {"mode": "on"}, "headers": BEARER}, daemon=True,
        )
        for _ in range(WORKERS)
    ]  # fmt: skip
    for each in asked:
        each.start()
    assert all(begun.acquire(timeout=20) for _ in asked)
    found = {}

    def look():
        for path in ("/metrics", "/healthz", "/readyz"):
            found[path] = client.get(path).status_code

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(20)
    seen = dict(found)
    go_on.set()
    for each in (*asked, looking):
        each.join(20)
    assert seen == {"/metrics": 200, "/healthz": 200, "/readyz": 200}


def test_wrong_tokens_are_logged_but_not_each_of_them(client, caplog):
    for _ in range(5):
        client.get(f"{API}/cameras", headers={"Authorization": "Bearer guess"})
        client.post(f"{API}/session", json={"token": "guess"})
    said = [record.getMessage() for record in caplog.records]
    assert said == ["somebody at testclient gave a wrong token"]


def test_the_answer_to_a_wrong_token_comes_late_and_holds_up_nobody_else(client, monkeypatch):
    monkeypatch.setattr(operations, "WRONG_TOKEN_S", 3.0)
    answers = []

    def guess(ask, *given, **more):
        answers.append((ask(*given, **more).status_code, time.monotonic()))

    began = time.monotonic()
    guesses = [
        threading.Thread(
            target=guess, args=(client.get, f"{API}/cameras"),
            kwargs={"headers": {"Authorization": "Bearer guess"}},
        ),
        threading.Thread(
            target=guess, args=(client.get, f"{API}/session"),
            kwargs={"headers": {"Authorization": "Bearer guess"}},
        ),
        threading.Thread(
            target=guess, args=(client.post, f"{API}/session"), kwargs={"json": {"token": "guess"}}
        ),
    ]  # fmt: skip
    for each in guesses:
        each.start()
    while not answers and time.monotonic() - began < 2:
        assert client.get(f"{API}/cameras", headers=BEARER).status_code == 200
    assert answers == []
    for each in guesses:
        each.join(20)
    assert sorted(status for status, _ in answers) == [200, 401, 401]
    assert min(at for _, at in answers) - began >= 3


def test_changes_are_logged_in_a_line_of_their_own(client, caplog):
    caplog.set_level("INFO", "streamderain")
    client.delete(f"{API}/cameras/a%0ab", headers=BEARER)
    client.delete(f"{API}/cameras/gate", headers=BEARER)
    assert [record.getMessage() for record in caplog.records if "by" in record.getMessage()] == [
        "DELETE /api/v1/cameras/a%0Ab by testclient: 404",
        "DELETE /api/v1/cameras/gate by testclient: 204",
    ]


def test_the_head_of_a_stream_ends(client):
    answer = client.head(f"{API}/cameras/gate/stream.mjpeg")
    assert answer.headers["content-type"].startswith("multipart/x-mixed-replace")
