"""The web service behind proxies with TLS, as docs/service.md says it."""

import json
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from tests.real.page_service import free_port
from tests.real.servers import install
from tests.real.web import TOKEN, Running
from tests.waiting import until

DOCS = Path(__file__).parents[2] / "docs" / "service.md"
API = "/api/v1"
NAME = "cam.example.org"


def block(language):
    """Return what the docs say for a program."""
    return re.search(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)[1]


def need(program, package):
    if not shutil.which(program) and not (install(package) and shutil.which(program)):
        pytest.skip(f"this test needs Debian's package {package}")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    need("openssl", "openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
            "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    cameras = {"gate": {"source": "scene:dry?size=160x120&fps=10"}}
    with Running(tmp_path_factory.mktemp("web"), cameras, service={"hosts": [NAME]}) as running:
        running.live("gate")
        yield running


def nginx(folder, certificate, port, running):
    need("nginx", "nginx-light")
    server = block("nginx").replace("listen 443", f"listen 127.0.0.1:{port}")
    server = server.replace("127.0.0.1:8080", f"127.0.0.1:{running.port}")
    server = server.replace(f"/etc/ssl/{NAME}.pem", str(certificate / "cert.pem"))
    server = server.replace(f"/etc/ssl/{NAME}.key", str(certificate / "key.pem"))
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off;\n{paths}{server} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(file)]


def caddy(folder, certificate, port, running):
    need("caddy", "caddy")
    site = block("caddyfile").replace(f"{NAME} {{", f"https://{NAME}:{port} {{")
    site = site.replace("127.0.0.1:8080", f"127.0.0.1:{running.port}")
    tls = f"    tls {certificate}/cert.pem {certificate}/key.pem\n    bind 127.0.0.1\n}}"
    file = folder / "Caddyfile"
    file.write_text("{\n  admin off\n  auto_https disable_redirects\n}\n" + site.replace("}", tls))
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request, tmp_path_factory, certificate, running):
    """Return the proxy's port."""
    folder, port = tmp_path_factory.mktemp("proxy"), free_port()
    command = request.param(folder, certificate, port, running)
    with (folder / "log").open("w") as log:
        environment = {"PATH": "/usr/bin:/usr/sbin:/bin", "HOME": str(folder)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        with client_of(port, certificate) as client:

            def answers():
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    return ask(client, "GET", "/healthz").status_code == 200
                except httpx2.TransportError:
                    return False

            until(answers, 20, 0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def trust(certificate):
    context = ssl.create_default_context(cafile=certificate / "cert.pem")
    context.check_hostname = False
    return context


def client_of(port, certificate):
    # What a browser would send to this name at this port.
    return httpx2.Client(
        base_url=f"https://127.0.0.1:{port}",
        headers={"Host": f"{NAME}:{port}"},
        verify=trust(certificate),
        timeout=20,
    )


@pytest.fixture
def client(proxy, certificate):
    with client_of(proxy, certificate) as client:
        yield client


def ask(client, method, path, **given):
    """Ask under the name by which the proxy chooses site and certificate, without a cookie."""
    client.cookies.clear()
    return client.request(method, path, extensions={"sni_hostname": NAME}, **given)


def test_through_the_proxy_the_token_is_needed_and_the_cookie_is_for_tls(client, proxy):
    assert ask(client, "GET", "/").status_code == 200
    assert ask(client, "GET", f"{API}/cameras").status_code == 401
    origin = {"Origin": f"https://{NAME}:{proxy}"}
    answer = ask(client, "POST", f"{API}/session", json={"token": TOKEN}, headers=origin)
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert "secure" in cookie.lower()
    session = {"Cookie": cookie.partition(";")[0]}
    assert ask(client, "GET", f"{API}/cameras", headers=session).status_code == 200
    steer = f"{API}/cameras/gate/steer"
    for given, status in (({**origin, **session}, 200), (origin, 401),
                          ({"Origin": "https://evil.example", **session}, 403)):  # fmt: skip
        assert ask(client, "POST", steer, json={"mode": "on"}, headers=given).status_code == status


def test_live_pictures_come_through_the_proxy(client, proxy, certificate):
    given = {"Authorization": f"Bearer {TOKEN}", "Host": f"{NAME}:{proxy}"}

    def live_from(origin):
        return connect(
            f"wss://{NAME}:{proxy}{API}/live", ssl=trust(certificate), origin=origin, proxy=None,
            sock=socket.create_connection(("127.0.0.1", proxy)),
            additional_headers={"Authorization": given["Authorization"]},
        )  # fmt: skip

    with live_from(f"https://{NAME}:{proxy}") as live:
        live.send(json.dumps({"watch": {"gate": {"fps": 20}}}))
        pictures = 0
        while pictures < 5:
            if isinstance(live.recv(timeout=10), bytes):
                pictures += 1
                live.send('{"ack": "gate"}')
    # The client of WebSocket would wait without end for a proxy that keeps the connection.
    upgrade = {
        **given, "Origin": "https://evil.example", "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    assert ask(client, "GET", f"{API}/live", headers=upgrade).status_code == 403
    with client.stream(
        "GET", f"{API}/cameras/gate/stream.mjpeg", headers=given,
        extensions={"sni_hostname": NAME},
    ) as stream:  # fmt: skip
        seen = b""
        for part in stream.iter_raw():
            seen += part
            if seen.count(b"--streamderain") > 4:
                break
