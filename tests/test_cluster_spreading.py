"""Which cameras share a worker, what it runs, and what can't be spread."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.cli import main
from streamderain.cluster.liveplacing import (
    advertised,
    check_spreadable,
    configuration_of,
    groups,
    local_notes,
    secrets_of,
    sockets,
)
from streamderain.cluster.liveworker import free_ports
from streamderain.config import RunConfig
from streamderain.errors import ConfigError, OutputError


def config(outputs=None, cameras=("gate", "yard"), **settings):
    return RunConfig.model_validate(
        {
            "model": "null", "cameras": {name: {"source": "scene"} for name in cameras},
            "defaults": {"outputs": outputs or [{"type": "zeromq", "address": "tcp://0.0.0.0:5555"}]},
            "cluster": {"book": "tcp://0.0.0.0:5550"}, **settings,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cameras", "most", "sizes"),
    [(1, 4, [1]), (4, 4, [4]), (5, 4, [3, 2]), (10, 4, [4, 3, 3]), (3, 1, [1, 1, 1]), (0, 4, [])],
)
def test_groups_are_few_and_even(cameras, most, sizes):
    names = [f"c{number}" for number in range(cameras)]
    assert [len(group) for group in groups(names, most)] == sizes


@given(st.lists(st.text(min_size=1), unique=True, max_size=80), st.integers(1, 64))
def test_every_camera_is_in_one_group_and_none_is_too_large(cameras, most):
    found = groups(cameras, most)
    assert [camera for group in found for camera in group] == cameras
    assert all(0 < len(group) <= most for group in found)


def test_a_worker_runs_its_own_cameras_with_all_that_they_inherit():
    all_of_them = config(
        [
            {"type": "zeromq", "address": "tcp://0.0.0.0:5555"},
            {"type": "zeromq", "address": "tcp://127.0.0.1:5556", "pattern": "push"},
            {"type": "record", "folder": "/r/{camera}"},
        ]
    )
    assert sockets(all_of_them) == ["tcp://0.0.0.0:5555", "tcp://127.0.0.1:5556"]
    own = configuration_of(
        all_of_them, ["yard"], {"tcp://0.0.0.0:5555": 7001, "tcp://127.0.0.1:5556": 7002}
    )
    assert list(own.cameras) == ["yard"]
    published, pushed, record = own.camera("yard").outputs
    assert (published.address, pushed.address) == ("tcp://0.0.0.0:7001", "tcp://127.0.0.1:7002")
    assert pushed.pattern == "push"
    assert record == all_of_them.camera("yard").outputs[2]
    assert sockets(all_of_them) == ["tcp://0.0.0.0:5555", "tcp://127.0.0.1:5556"]


@pytest.mark.parametrize(
    ("bound", "node", "told"),
    [
        ("tcp://0.0.0.0:5601", "10.0.0.3", "tcp://10.0.0.3:5601"),
        ("tcp://[::]:5601", "fd00::3", "tcp://[fd00::3]:5601"),
        ("tcp://127.0.0.1:5601", "10.0.0.3", "tcp://127.0.0.1:5601"),
        ("tcp://192.168.7.3:5601", "10.0.0.3", "tcp://192.168.7.3:5601"),
    ],
)
def test_what_is_bound_everywhere_is_told_at_the_nodes_own_address(bound, node, told):
    assert advertised(bound, node) == told


KEYS = {"secret_key": "/k/server.key_secret"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"service": {"address": "127.0.0.1:8080"}}, "service: a cluster has no web service"),
        ({"device": "cuda"}, "cluster.gpus: device is cuda, but workers ask for no GPU"),
        (
            {"outputs": [{"type": "zeromq", "address": "ipc:///run/x"}]},
            r"defaults.outputs\[0\]: ipc:///run/x can't be reached from other nodes \(camera gate",
        ),
        (
            {"outputs": [{"type": "zeromq", "address": "tcp://0.0.0.0:5555", "curve": KEYS}]},
            "cluster.curve: tcp://0.0.0.0:5555 and the address book have different keys",
        ),
    ],
)
def test_what_cannot_be_spread_is_refused_in_a_sentence(changes, words):
    with pytest.raises(ConfigError, match=words):
        check_spreadable(config(**changes))


def test_the_same_keys_for_book_and_cameras_are_right():
    outputs = [{"type": "zeromq", "address": "tcp://0.0.0.0:5555", "curve": KEYS}]
    check_spreadable(config(outputs, cluster={"curve": KEYS}))
    check_spreadable(config(cluster={"gpus": 0.5}, device="cuda"))


def test_what_means_another_machine_on_each_node_is_noted_once():
    outputs = [
        {"type": "zeromq", "address": "tcp://127.0.0.1:5555"},
        {"type": "rtsp", "address": "rtsp://me:s3cret@127.0.0.1:8554/{camera}"},
    ]
    notes = local_notes(config(outputs, cluster={"book": "tcp://localhost:5550"}, cameras=["gate"]))
    assert len(notes) == 3
    assert notes[0].startswith("what is published at tcp://127.0.0.1:5555 can be read on its own")
    assert notes[1].startswith("rtsp://127.0.0.1:8554/gate is on whatever node the camera runs")
    assert notes[2].startswith("the address book at tcp://localhost:5550 can be read on this")
    assert local_notes(config()) == []


def test_secrets_of_sources_and_of_pushed_streams_are_known():
    outputs = [{"type": "rtsp", "address": "rtsp://h/{camera}", "user": "u", "password": "push/1"}]
    cameras = {"gate": {"source": "rtsp://v:s3cret@h/x"}}
    made = RunConfig.model_validate({"defaults": {"outputs": outputs}, "cameras": cameras})
    assert {"s3cret", "push/1", "push%2F1"} <= set(secrets_of(made))


def test_ports_are_free_ones_each_another():
    found = free_ports(["tcp://127.0.0.1:5555", "tcp://127.0.0.1:5556", "tcp://0.0.0.0:1"])
    assert len(set(found.values())) == 3


def test_ports_are_taken_from_the_range_and_what_is_in_use_is_left_out():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"no port of {port}-{port} is free on this node"):
            free_ports(["tcp://127.0.0.1:5555"], range(port, port + 1))
    assert free_ports(["tcp://127.0.0.1:5555"], range(port, port + 1)) == {
        "tcp://127.0.0.1:5555": port
    }


def test_the_command_line_refuses_what_cannot_be_spread_before_it_looks_for_a_cluster(
    tmp_path, capsys
):
    path = tmp_path / "cameras.yaml"
    path.write_text(
        "cameras: {a: {source: scene, outputs: [{type: zeromq, address: 'ipc:///run/x'}]}}\n",
        encoding="utf-8",
    )
    assert main(["run", str(path), "--ray", "127.0.0.1:1"]) == 2
    assert "cameras.a.outputs[0]: ipc:///run/x can't be reached" in capsys.readouterr().err


def test_paths_are_whole_ones_for_other_nodes(tmp_path, monkeypatch):
    (tmp_path / "cameras.yaml").write_text("cameras: {a: {source: a.mp4}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(
        "streamderain.cluster.liverunning.run_on_cluster",
        lambda config, address, **settings: asked.append((config, settings["model"])),
    )
    assert main(["run", "cameras.yaml", "--ray", "auto", "--model", "my.onnx"]) == 0
    ((config, model),) = asked
    assert config.camera("a").source == str(tmp_path / "a.mp4")
    assert model == str(tmp_path / "my.onnx")
