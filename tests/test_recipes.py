"""The recipes' files are whole, valid, and agree with each other."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from streamderain.cli import main
from streamderain.config import RtspOutput
from streamderain.configfile import load_config

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "docs" / "recipes"
PAGES = sorted(RECIPES.glob("*.md"))
FILES = sorted(
    path
    for place in (RECIPES, ROOT / "deploy", ROOT)
    for pattern in ("*.yaml", "*.yml")
    for path in (place.rglob(pattern) if place == RECIPES else place.glob(pattern))
)
OURS = [path for path in FILES if path.name == "cameras.yaml"]
SECRETS = dict.fromkeys(
    ("PUBLISH_PASSWORD", "GATE_PASSWORD", "YARD_PASSWORD", "STREAMDERAIN_TOKEN"),
    "s3cret-0123456789",
)

# What the servers' own references name, as far as it is used here.
MEDIAMTX = {
    "": {"logLevel", "authMethod", "authInternalUsers", "rtsp", "rtspAddress", "rtspTransports",
         "rtmp", "hls", "webrtc", "webrtcAddress", "srt", "pathDefaults", "paths"},
    "user": {"user", "pass", "ips", "permissions"},
    "path": {"source", "overridePublisher", "useAbsoluteTimestamp"},
}  # fmt: skip
GO2RTC = {"api": {"listen"}, "rtsp": {"listen", "username", "password"}, "streams": None}
FRIGATE = {"mqtt", "detectors", "go2rtc", "record", "cameras"}
COMPOSE = {
    "build", "image", "restart", "depends_on", "environment", "volumes", "ports", "read_only",
    "tmpfs", "cap_drop", "security_opt", "stop_grace_period", "logging", "shm_size", "deploy",
}  # fmt: skip


class Loader(yaml.SafeLoader):
    """YAML with Home Assistant's ``!secret``."""


Loader.add_constructor("!secret", lambda loader, node: f"secret {node.value}")


def read(*parts):
    return yaml.load(ROOT.joinpath(*parts).read_text(encoding="utf-8"), Loader)


def ours(*parts):
    return load_config(ROOT.joinpath(*parts), SECRETS)


def pushed(config):
    """Where a configuration pushes its cameras, and as whom."""
    return {
        name: (output.target(name).shown, output.user)
        for name in config.cameras
        for output in config.camera(name).outputs
        if isinstance(output, RtspOutput)
    }


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_is_yaml(path):
    assert isinstance(yaml.load(path.read_text(encoding="utf-8"), Loader), dict)


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_streamderains_part_passes_check(path, monkeypatch, capsys):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "120")  # or an address may stand in two lines
    assert main(["check", str(path)]) == 0, capsys.readouterr().err
    assert "push to rtsp://" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cameras", "server"),
    [
        ("docs/recipes/mediamtx/cameras.yaml", "docs/recipes/mediamtx/mediamtx.yml"),
        ("docs/recipes/nvr/cameras.yaml", "docs/recipes/mediamtx/mediamtx.yml"),
        ("docs/recipes/frigate/cameras.yaml", "deploy/mediamtx.yml"),
        ("docs/recipes/home-assistant/cameras.yaml", "deploy/mediamtx.yml"),
        ("deploy/cameras.yaml", "deploy/mediamtx.yml"),
    ],
)
def test_mediamtx_listens_where_it_is_pushed_to_and_lets_that_user(cameras, server):
    settings = read(server)
    assert settings.keys() <= MEDIAMTX[""]
    assert settings["pathDefaults"].keys() <= MEDIAMTX["path"]
    users = settings["authInternalUsers"]
    assert all(user.keys() <= MEDIAMTX["user"] for user in users)
    targets = pushed(ours(cameras))
    assert targets
    for address, user in targets.values():
        parts = urlsplit(address)
        assert settings["rtspAddress"] == f":{parts.port}"
        path = parts.path.strip("/")
        assert path in settings["paths"] or "all_others" in settings["paths"]
        (allowed,) = (each for each in users if each["user"] == user)
        assert {"action": "publish", "path": None} in allowed["permissions"]
    assert users[0]["user"] == "streamderain"  # MTX_AUTHINTERNALUSERS_0_PASS is its password


def test_only_streamderain_may_publish():
    for server in ("deploy/mediamtx.yml", "docs/recipes/mediamtx/mediamtx.yml"):
        for user in read(server)["authInternalUsers"]:
            actions = {each["action"] for each in user["permissions"]}
            assert actions == ({"publish"} if user["user"] == "streamderain" else {"read"})


def test_go2rtc_has_a_stream_without_a_source_for_each_camera():
    settings = read("docs/recipes/mediamtx/go2rtc.yaml")
    assert settings.keys() <= GO2RTC.keys()
    for section, keys in GO2RTC.items():
        assert keys is None or settings[section].keys() <= keys
    targets = pushed(ours("docs/recipes/mediamtx/cameras.yaml"))
    assert {name: [] for name in targets} == settings["streams"]
    for address, _ in targets.values():
        assert f":{urlsplit(address).port}" == settings["rtsp"]["listen"]
        assert urlsplit(address).path.strip("/") in settings["streams"]


def test_frigate_reads_what_streamderain_pushes():
    settings = read("docs/recipes/frigate/frigate.yaml")
    assert settings.keys() <= FRIGATE
    targets = pushed(ours("docs/recipes/frigate/cameras.yaml"))
    assert settings["go2rtc"]["streams"] == {
        name: [address] for name, (address, _) in targets.items()
    }
    for name, camera in settings["cameras"].items():
        for source in camera["ffmpeg"]["inputs"]:
            assert source["path"] == f"rtsp://127.0.0.1:8554/{name}"
            assert source["input_args"] == "preset-rtsp-restream"
            assert set(source["roles"]) <= {"detect", "record", "audio"}
    assert settings["cameras"].keys() == targets.keys()


@pytest.mark.parametrize(
    ("compose", "cameras"),
    [
        ("compose.yaml", "deploy/cameras.yaml"),
        ("docs/recipes/frigate/compose.yaml", "docs/recipes/frigate/cameras.yaml"),
    ],
)
def test_a_compose_file_names_what_is_there_and_gives_the_secrets_that_are_asked_for(
    compose, cameras
):
    here = (ROOT / compose).parent
    services = read(compose)["services"]
    for service in services.values():
        assert service.keys() <= COMPOSE
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (here / source).exists(), source
            else:
                assert source in read(compose)["volumes"]
    asked = set(re.findall(r"\$\{(\w+)\}", (ROOT / cameras).read_text("utf-8").split("\n  # ")[0]))
    assert asked <= services["streamderain"]["environment"].keys()
    build = services["streamderain"]["build"]
    assert (here / build["context"] / "Dockerfile").exists()
    host = urlsplit(next(iter(pushed(ours(cameras)).values()))[0]).hostname
    assert host in services
    (mounted,) = (each for each in services[host]["volumes"] if "mediamtx.yml" in each)
    assert (here / mounted.partition(":")[0]).resolve() == ROOT / "deploy" / "mediamtx.yml"
    port = ours(cameras).service.address.rpartition(":")[2]
    assert any(each.endswith(f":{port}") for each in services["streamderain"]["ports"])


def test_frigate_gets_the_passwords_that_its_configuration_names():
    named = set()
    for path in (RECIPES / "frigate.md", RECIPES / "frigate" / "frigate.yaml"):
        named |= set(re.findall(r"\{(FRIGATE_\w+)\}", path.read_text("utf-8")))
    assert named
    assert named <= read("docs/recipes/frigate/compose.yaml")["services"]["frigate"][
        "environment"
    ].keys()  # fmt: skip


def test_no_password_of_mediamtx_stays_as_its_file_has_it():
    page = (RECIPES / "mediamtx.md").read_text("utf-8")
    for number, user in enumerate(read("docs/recipes/mediamtx/mediamtx.yml")["authInternalUsers"]):
        assert user["pass"].startswith("change-me")
        assert f"MTX_AUTHINTERNALUSERS_{number}_PASS=$" in page, user["user"]


def test_players_say_who_they_are_where_the_server_asks():
    names = {
        each["user"] for each in read("docs/recipes/mediamtx/mediamtx.yml")["authInternalUsers"]
    }
    found = re.findall(r"rtsp://(\S*?)127\.0\.0\.1", (RECIPES / "players.md").read_text("utf-8"))
    assert len(found) > 5
    assert set(found) == {"recorder:PASSWORD@"}
    assert "recorder" in names


def test_home_assistant_asks_what_the_service_answers():
    pytest.importorskip("starlette", reason="the service needs its packages, streamderain[service]")
    from streamderain.service.cameras import camera_operations
    from streamderain.service.shapes import CameraView, SteerRequest

    config = ours("docs/recipes/home-assistant/cameras.yaml")
    settings = read("docs/recipes/home-assistant/configuration.yaml")
    known = {(each.method.lower(), each.path) for each in camera_operations(None)}
    port = config.service.address.rpartition(":")[2]
    asked = [("get", each["resource"], each["headers"]) for each in settings["rest"]]
    asked += [
        (each["method"], each["url"], each["headers"]) for each in settings["rest_command"].values()
    ]
    for method, address, headers in asked:
        parts = urlsplit(address)
        assert parts.hostname in config.service.hosts
        assert str(parts.port) == port
        camera = parts.path.split("/")[4]
        assert camera in config.cameras
        assert (method, parts.path.replace(f"/{camera}", "/{id}", 1)) in known
        assert headers == {"Authorization": "secret streamderain_token"}
    text = (ROOT / "docs/recipes/home-assistant/configuration.yaml").read_text("utf-8")
    for field in re.findall(r"value_json\.(\w+)", text):
        assert field in CameraView.model_fields
    (command,) = settings["rest_command"].values()
    for mode in ("on", "auto", "off"):
        SteerRequest.model_validate_json(command["payload"].replace("{{ mode }}", mode))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith(("http", "#")):
            assert (page.parent / target.split("#")[0]).exists(), target
    for block in re.findall(r"^```yaml\n(.*?)^```$", text, re.S | re.M):
        assert yaml.load(block, Loader)


def test_every_file_is_named_by_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for path in RECIPES.rglob("*.y*ml"):
        assert f"{path.parent.name}/{path.name}" in text, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_addresses_that_are_pushed_to(page):
    known = {"gate", "yard", "test", "{camera}"}
    for path in re.findall(r"rtsps?://[^/\s`]+:8[35]\d\d/([\w{}]+)", page.read_text("utf-8")):
        assert path in known
