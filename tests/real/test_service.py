"""The web service of a real ``streamderain run``: attacks, frames that add up, the end."""

import json
import signal
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from streamderain.client import Subscriber
from tests.real.web import BEARER, TOKEN, RudeSocket, Running
from tests.waiting import until

API = "/api/v1"
PASSWORD = "hush-hush/@?"
SCENE = "scene:light?size=160x120&fps=15"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    cameras = {
        "gate": {"source": SCENE},
        "yard": {"source": "rtsp://127.0.0.1:1/x", "user": "viewer", "password": PASSWORD},
    }
    with Running(tmp_path_factory.mktemp("web"), cameras) as running:
        running.live("gate")
        yield running


ATTACKS = [
    {"host": "evil.example"}, {"host": "evil.example:8080"}, {"host": "127.0.0.1.evil.example"},
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
    {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
    {"X_Forwarded_Host": "x", "host": "evil.example"},
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", f"{API}/cameras"), ("DELETE", f"{API}/cameras/gate"), ("GET", "/metrics"),
        ("POST", f"{API}/cameras/gate/steer"), ("GET", f"{API}/cameras/gate/snapshot"),
        ("GET", f"{API}/cameras/gate/stream.mjpeg"), ("PUT", f"{API}/cameras/evil"),
    ],
)  # fmt: skip
def test_other_sites_get_nothing_and_change_nothing_even_with_the_token(
    running, attack, method, target
):
    status, answer = running.ask(method, target, **{**BEARER, **attack})
    assert status == 403
    assert b"rtsp" not in answer and b"JFIF" not in answer
    assert [one["camera"] for one in running.client.get(f"{API}/cameras").json()["cameras"]] == [
        "gate", "yard",
    ]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_other_sites_open_no_websocket(running, attack):
    headers = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==", **BEARER, **attack,
    }  # fmt: skip
    host = headers.pop("host", f"127.0.0.1:{running.port}")
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    request = "\r\n".join([f"GET {API}/live HTTP/1.1", f"Host: {host}", *lines, "", ""])
    assert running.raw(request.encode()).startswith(b"HTTP/1.1 403")


def test_two_hosts_or_none_are_no_request(running):
    for hosts in ("", "Host: 127.0.0.1\r\nHost: evil.example\r\n"):
        request = f"GET {API}/cameras HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"
        assert running.raw(request.encode()).startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))


@pytest.mark.parametrize(
    "target",
    [
        "/page/../app.py", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/page/%2e%2e%2fapp.py",
        "/page/../../../../../../etc/passwd", "/page//etc/passwd", "/page/%2fetc%2fpasswd",
        "/page/..\\app.py", "/page/..%5capp.py", "/page/....//app.py",
        "/page/%252e%252e%252fapp.py", "http://evil.example/page/app.py",
        "/../app.py", "/page/.", "/page/..", "//etc/passwd", "/page/%c0%ae%c0%ae/app.py",
        "/page/index.html%00", "/page/\xff", f"{API}/cameras/../config",
        f"{API}/cameras/..%2fconfig", f"{API}/cameras/%2e%2e/snapshot", f"{API}/../../etc/passwd",
        f"{API}/cameras/gate%2f..%2f..%2fconfig",
    ],
)  # fmt: skip
def test_no_path_leads_out(running, target):
    status, answer = running.ask("GET", target, **BEARER)
    assert status in (400, 403, 404)
    assert b"import" not in answer and b"root:" not in answer and b"model" not in answer


def test_bytes_that_are_no_http_hurt_nobody(running):
    for junk in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET",
        b"\r\n\r\n" * 50,
        b"A" * 200_000,
        b"\x00" * 9,
    ):
        with running.connect() as plain:
            plain.sendall(junk)
    assert running.client.get("/healthz").status_code == 200


def test_a_camera_added_over_rest_is_published_steered_and_removed(running):
    with Subscriber(running.frames) as subscriber:
        body = {"source": SCENE, "max_fps": 10}
        put = running.client.put(f"{API}/cameras/new", json=body)
        assert put.status_code == 201, put.text
        until(lambda: "new" in subscriber.cameras and subscriber.cameras["new"].last, 20)
        assert running.client.put(f"{API}/cameras/new", json=body).status_code == 200
        running.client.post(f"{API}/cameras/new/steer", json={"paused": True}).raise_for_status()
        until(lambda: running.camera("new")["state"] == "paused")
        assert not running.camera("gate")["paused"]
        running.client.post(f"{API}/cameras/new/steer", json={"paused": False})
        until(lambda: running.camera("new")["state"] == "live", 20)
        assert running.client.delete(f"{API}/cameras/new").status_code == 204
        assert running.client.get(f"{API}/cameras/new").status_code == 404
    taken = {"source": SCENE, "outputs": [{"type": "zeromq", "address": running.frames}]}
    answer = running.client.put(f"{API}/cameras/new", json=taken)
    assert answer.status_code == 422
    assert "differ" in answer.json()["error"]


def test_no_answer_and_no_log_says_a_password(running):
    until(lambda: running.camera("yard")["state"] == "backoff")
    texts = [
        running.client.get(path).text
        for path in (
            f"{API}/cameras", f"{API}/cameras/yard", f"{API}/config", f"{API}/openapi.json",
            "/metrics", "/readyz",
        )
    ]  # fmt: skip
    wrong = {"source": "rtsp://h/x", "user": "u", "password": PASSWORD, "queue": 0}
    texts.append(running.client.put(f"{API}/cameras/yard", json=wrong).text)
    with connect(f"ws://127.0.0.1:{running.port}{API}/live") as live:
        texts.append(live.recv(timeout=10))
    texts.append(running.said)
    for text in texts:
        assert "hush" not in text
        assert TOKEN not in text
    assert '"token":"***"' in texts[2] and '"password":"***"' in texts[2]


def test_motion_jpeg_gives_whole_pictures_at_the_rate_that_was_asked_for(running):
    url = f"{API}/cameras/gate/stream.mjpeg?view=both&width=96&fps=5"
    with running.client.stream("GET", url) as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=streamderain"
        assert "content-length" not in answer.headers
        data, began = b"", time.monotonic()
        for part in answer.iter_raw():
            data += part
            if time.monotonic() - began > 3:
                break
    parts = data.split(b"--streamderain\r\n")[1:-1]
    assert len(parts) == pytest.approx(15, abs=4)
    for part in parts:
        head, _, picture = part.partition(b"\r\n\r\n")
        assert int(head.rpartition(b": ")[2]) == len(picture) - 2
        assert picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9\r\n")
    until(lambda: running.sample("streamderain_viewers") == 0)


def test_a_stream_ends_when_its_camera_is_removed(running):
    running.client.put(f"{API}/cameras/short", json={"source": SCENE}).raise_for_status()
    running.live("short")
    with running.client.stream("GET", f"{API}/cameras/short/stream.mjpeg") as answer:
        parts = answer.iter_raw()
        next(parts)
        running.client.delete(f"{API}/cameras/short")
        assert sum(len(part) for part in parts) >= 0


def accounted(samples):
    """Return decoded minus all that became of the frames, by camera and output."""
    decoded, rest = {}, {}
    for sample in samples:
        where = (sample.labels.get("camera"), sample.labels.get("output"))
        if sample.name == "streamderain_frames_decoded_total":
            decoded[where[0]] = sample.value
        elif sample.name in (
            "streamderain_frames_written_total", "streamderain_frames_dropped_total",
            "streamderain_frames_in_flight",
        ):  # fmt: skip
            rest[where] = rest.get(where, 0) + sample.value
    return {where: decoded[where[0]] - frames for where, frames in rest.items()}


def test_frames_add_up_at_every_scrape_under_load(tmp_path):
    scene = "scene:light?size=160x120&fps=25"
    record = {"type": "record", "folder": str(tmp_path / "{camera}"), "segment": "2s"}
    published = {"type": "zeromq", "address": f"ipc://{tmp_path / 'frames.ipc'}", "queue": 1}
    cameras = {
        "overloaded": {"source": scene, "overload": "drop", "staleness": "50ms"},
        "twofold": {"source": scene, "outputs": [{**published, "heartbeat": "200ms"}, record]},
        "thinned": {"source": scene, "max_fps": 7},
    }  # fmt: skip
    output = {**published, "heartbeat": "200ms"}
    defaults = {"gate": {"always": True}, "outputs": [output], "backoff": "200ms"}
    with Running(tmp_path, cameras, defaults=defaults, model="video-xs") as running:
        for name in cameras:  # one may drop all that it has
            until(lambda name=name: running.camera(name)["decoded"] > 10, 90, 0.1)
        scrapes, began = 0, time.monotonic()
        while time.monotonic() - began < 3 or scrapes < 20:
            found = accounted(running.samples())
            assert len(found) == 4
            assert not any(found.values()), found
            scrapes += 1
        dropped = {
            (s.labels["camera"], s.labels["reason"])
            for s in running.samples()
            if s.name == "streamderain_frames_dropped_total"
        }
        assert ("thinned", "max_fps") in dropped
        total = running.sample("streamderain_stage_seconds_count", camera="twofold", stage="total")
        assert total > 0
        assert running.interrupt() == 0


def test_the_end_lets_viewers_go_and_writes_what_is_on_its_way(tmp_path):
    with Running(
        tmp_path, {"gate": {"source": SCENE}}, arguments=["--log-format", "json"]
    ) as running:
        running.live("gate")
        ended = []

        def watch():
            try:
                with connect(f"ws://127.0.0.1:{running.port}{API}/live") as live:
                    live.send('{"watch": {"gate": {}}}')
                    while True:
                        live.recv(timeout=20)
            except ConnectionClosed as closed:
                ended.append(closed.rcvd.code if closed.rcvd else None)

        def stream():
            with running.client.stream("GET", f"{API}/cameras/gate/stream.mjpeg") as answer:
                for _ in answer.iter_raw():
                    pass
            ended.append("stream")

        viewers = [threading.Thread(target=job) for job in (watch, stream)]
        for viewer in viewers:
            viewer.start()
        until(lambda: running.sample("streamderain_viewers") == 2)
        began = time.monotonic()
        assert running.interrupt() == 0
        assert time.monotonic() - began < 6
        for viewer in viewers:
            viewer.join(10)
        assert "stream" in ended
        assert {1001, 1012} & set(ended)
        lines = [json.loads(line) for line in running.said.splitlines()]
        assert {"time", "level", "logger", "message"} <= set(lines[0])
        assert lines[-1]["camera"] == "gate"
        assert lines[-1]["decoded"] == lines[-1]["outputs"]["publish"]["written"] > 0
        assert any(line.get("state") == "live" for line in lines)
        assert "decoded" in lines[-1]["message"]
        assert not [line for line in lines if line["level"] == "error"]


def test_viewers_that_take_nothing_do_not_hold_up_the_end(tmp_path):
    scene = {"source": "scene:heavy?size=640x360&fps=15"}
    with Running(tmp_path, {"gate": scene}) as running:
        running.live("gate")
        rude = RudeSocket(running, {"gate": {"view": "both", "fps": 60}})
        stream = running.connect(4096)
        stream.sendall(
            f"GET {API}/cameras/gate/stream.mjpeg?fps=60 HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{running.port}\r\n\r\n".encode()
        )
        half = running.connect()
        half.sendall(f"PUT {API}/cameras/new HTTP/1.1\r\n".encode())

        sent = []

        def is_stuck():
            rude.say(ack="gate")
            sent.append(running.sample("streamderain_viewer_pictures_total", outcome="sent"))
            return sent[-1] >= 4 and sent[-20:] == [sent[-1]] * 20

        until(is_stuck, 20, 0.05)
        began = time.monotonic()
        assert running.interrupt() == 0
        assert time.monotonic() - began < 8
        for plain in (rude, stream, half):
            plain.close()
        assert "ERROR" not in running.said


def test_a_service_manager_ends_it_as_well(tmp_path):
    with Running(tmp_path, {"gate": {"source": SCENE}}) as running:
        running.live("gate")
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
