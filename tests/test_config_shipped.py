"""The configurations that ship, and the schema beside them."""

import json
import re
from pathlib import Path

import pytest

from streamderain.cli import main
from streamderain.cluster.liveplacing import check_spreadable, local_notes
from streamderain.clusterconfig import ClusterConfig
from streamderain.config import (
    CameraDefaults,
    Gate,
    RecordOutput,
    RtspOutput,
    RunConfig,
    ZeroMqOutput,
)
from streamderain.configfile import load_config, schema

REFERENCE = Path(__file__).parents[1] / "configs" / "cameras.yaml"


def test_the_reference_is_valid_and_names_every_key():
    config = load_config(REFERENCE, {"GATE_PASSWORD": "x", "YARD_PASSWORD": "y"})
    text = REFERENCE.read_text(encoding="utf-8")
    for model in (
        RunConfig, CameraDefaults, Gate, ZeroMqOutput, RecordOutput, RtspOutput, ClusterConfig,
    ):  # fmt: skip
        for field in model.model_fields:
            assert f"{field}:" in text, f"{model.__name__}.{field} is not explained"
    assert len(config.cameras) >= 4


def test_the_reference_shows_the_defaults_as_they_are():
    config = load_config(REFERENCE, {"GATE_PASSWORD": "x", "YARD_PASSWORD": "y"})
    plain = CameraDefaults()
    for field in CameraDefaults.model_fields:
        if field in ("outputs", "user", "password"):
            continue
        assert getattr(config.defaults, field) == getattr(plain, field), field


def test_the_reference_shows_the_clusters_defaults_as_they_are():
    assert load_config(REFERENCE, {"GATE_PASSWORD": "x", "YARD_PASSWORD": "y"}).cluster == (
        ClusterConfig()
    )


def test_the_example_of_a_cluster_is_one_that_can_be_spread():
    config = load_config(REFERENCE.with_name("cluster.yaml"), {"GATE_PASSWORD": "x"})
    check_spreadable(config)
    assert not local_notes(config)


def test_the_schema_is_one_and_refuses_unknown_keys():
    made = json.loads(json.dumps(schema()))
    assert made["additionalProperties"] is False
    assert set(made["required"]) == {"cameras"}
    defaults = made["$defs"]["CameraDefaults"]["properties"]
    assert all("description" in value or "$ref" in value for value in defaults.values())


def test_the_schema_beside_the_reference_is_that_of_this_version():
    written = json.loads(REFERENCE.with_name("cameras.schema.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(schema())), "streamderain check --schema makes it anew"


FIRST = REFERENCE.with_name("first.yaml")


def test_the_first_configuration_passes_check_as_it_is(monkeypatch, capsys):
    pytest.importorskip("starlette", reason="the service needs its packages, streamderain[service]")
    monkeypatch.delenv("GATE_PASSWORD", raising=False)
    assert main(["check", str(FIRST)]) == 0
    assert capsys.readouterr().err == ""
    config = load_config(FIRST, {})
    assert list(config.cameras) == ["test"]
    assert config.service is not None


def test_the_camera_that_the_first_configuration_has_in_comments_is_a_valid_one(tmp_path):
    text = re.sub(r"^  # (gate:|  )", r"  \1", FIRST.read_text("utf-8"), flags=re.M)
    path = tmp_path / "cameras.yaml"
    path.write_text(text, encoding="utf-8")
    config = load_config(path, {"GATE_PASSWORD": "x"})
    assert list(config.cameras) == ["test", "gate"]
    assert config.cameras["gate"].password == "x"
