"""The ``service:`` section, and how the web service is opened."""

import socket
import subprocess
import sys

import pytest
from pydantic import ValidationError

from streamderain import configfile
from streamderain.cli import main
from streamderain.config import CameraConfig, RunConfig
from streamderain.configcheck import exposed, find_problems
from streamderain.errors import ConfigError, OutputError
from streamderain.service import opening
from streamderain.service.server import WebService
from streamderain.serviceconfig import ServiceConfig, is_loopback, split_address
from tests.fake_control import TOKEN, settings


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:80", "::1", 80),
        ("LocalHost:0", "localhost", 0), ("0.0.0.0:65535", "0.0.0.0", 65535),
        ("cam-1.example.org:1", "cam-1.example.org", 1),
    ],
)  # fmt: skip
def test_an_address_is_a_host_and_a_port(text, host, port):
    assert split_address(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "::1:8080", "[::1]",
        "http://127.0.0.1:8080", "a b:80", "h:-1", "[127.0.0.1]:80", "h:８０", "u@h:80", "h/x:80",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValidationError, match="an address is HOST:PORT"):
        ServiceConfig(address=text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_this_machine_alone(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.x"])
def test_not_this_machine_alone(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"address": "0.0.0.0:8080"}, "it needs a token"),
        ({"address": "[::]:8080"}, "it needs a token"),
        ({"address": "cam.example.org:8080"}, "it needs a token"),
        ({"address": "0.0.0.0:8080", "token": "fifteen-letters"}, "needs at least 16 characters"),
        ({"hosts": ["cam.example.org"]}, "needs a token"),
        ({"token": "short"}, "8 to 256 ASCII characters"),
        ({"token": ""}, "8 to 256 ASCII characters"),
        ({"token": "with a space"}, "8 to 256 ASCII characters"),
        ({"hosts": ["cam.example.org:443"], "token": TOKEN}, "without port"),
        ({"hosts": ["https://cam"], "token": TOKEN}, "without port"),
    ],
)
def test_what_would_be_open_to_others_or_can_not_be_is_refused(given, said):
    with pytest.raises(ValidationError, match=said):
        ServiceConfig(**given)


def test_a_short_token_is_enough_for_this_machine_and_a_longer_one_for_others():
    assert ServiceConfig(token="8-letter").token == "8-letter"
    assert ServiceConfig(address="0.0.0.0:8080", token="sixteen--letters").token


def test_a_token_that_is_refused_is_not_repeated(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("service: {token: 'hush me'}\ncameras: {gate: {source: scene}}\n")
    with pytest.raises(ConfigError, match=r"service\.token: a token is 8 to 256") as raised:
        configfile.load_config(file)
    assert "hush" not in str(raised.value)


def test_without_the_packages_one_sentence_says_what_to_install(monkeypatch):
    real = opening.find_spec
    monkeypatch.setattr(opening, "find_spec", lambda n: None if n == "starlette" else real(n))
    with pytest.raises(ConfigError, match=r"needs starlette; run: pip install 'streamderain\[serv"):
        opening.open_service(settings())
    assert opening.open_service(None) is None
    config = RunConfig(service=settings(), cameras={"gate": CameraConfig(source="scene")})
    assert any(problem.startswith("service: the web") for problem in find_problems(config))


def test_who_can_be_overheard_is_told(monkeypatch):
    cameras = {"gate": CameraConfig(source="scene")}
    config = RunConfig(service=settings(address="0.0.0.0:8080"), cameras=cameras)
    assert any("TLS" in note for note in exposed(config))
    assert exposed(RunConfig(service=settings(), cameras=cameras)) == []


def test_an_address_in_use_is_one_sentence_and_ends_run(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"127.0.0.1:{port} is in use; stop"):
            WebService(settings(address=f"127.0.0.1:{port}"))
        file = tmp_path / "a.yaml"
        file.write_text(
            f"model: 'null'\nservice: {{address: '127.0.0.1:{port}'}}\n"
            f"defaults: {{outputs: [{{type: zeromq, address: 'ipc://{tmp_path}/a.ipc'}}]}}\n"
            "cameras: {gate: {source: scene}}\n"
        )
        assert main(["run", str(file)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: service.address") and said.count("\n") == 1


def test_an_address_that_is_not_ours_is_one_sentence():
    with pytest.raises(OutputError, match="no address of this machine"):
        WebService(settings(address="192.0.2.1:8080"))
    with pytest.raises(OutputError, match="can't be resolved"):
        WebService(settings(address="no-such-host.invalid:8080"))


def test_a_port_that_the_system_chooses_is_told():
    service = WebService(settings(address="127.0.0.1:0"))
    assert service.address.startswith("http://127.0.0.1:")
    assert not service.address.endswith(":0/")
    service.stop()


def test_problems_of_a_camera_over_rest_are_named_by_their_keys():
    with pytest.raises(ValidationError) as raised:
        CameraConfig.model_validate(
            {"sorce": 1, "outputs": [{"type": "record"}, {"type": "zeromq", "quality": 0}]}
        )
    assert configfile.explain(raised.value, CameraConfig) == [
        "outputs[0].folder: is missing",
        "outputs[1].quality: input should be greater than or equal to 1, not 0",
        "source: is missing",
        "sorce: unknown key; did you mean source?",
    ]


def test_no_web_library_is_loaded_where_there_is_no_service():
    code = "import streamderain.live.running, streamderain.cli, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"starlette", "uvicorn", "websockets", "prometheus_client", "anyio"}
