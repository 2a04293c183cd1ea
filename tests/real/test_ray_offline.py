"""Recordings cleaned on a real Ray cluster of two nodes on this machine; nothing is ever lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from streamderain.cli import main
from streamderain.models import models_folder
from streamderain.segments.manifest import StateFolder
from tests.clips import frame_times, planes
from tests.real.ray_nodes import LONG_S, Nodes
from tests.showers import make_shower
from tests.waiting import until

pytest.importorskip("ray", reason="Ray is not installed")

NETWORK = ("--model", "video-xs", "--backend", "onnx", "--device", "cpu", "--precision", "float")
FRAMES = 150
SEGMENT = ("--segment", "0.8s", "--preset", "superfast")
"""That preset of x264 writes the same twice, with the same number of cores."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Nodes()
    yield made
    made.cluster.shutdown()


@pytest.fixture
def nodes(cluster):
    cluster.fill(2)
    return cluster


@pytest.fixture(scope="module")
def shower(tmp_path_factory):
    return make_shower(
        tmp_path_factory.mktemp("rain") / "rain.mp4", frames=FRAMES, height=64, width=128, pan=0.7,
        audio=True, showers=((30, 80), (110, 140)), options={"g": "10"},
    )  # fmt: skip


@pytest.fixture
def clips(tmp_path, shower):
    """Two recordings that are alike."""
    return [Path(shutil.copy2(shower, tmp_path / f"{name}.mp4")) for name in ("gate", "yard")]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, shower):
    """What one machine makes of it."""
    target = tmp_path_factory.mktemp("alone") / "rain.clean.mp4"
    assert main(["clean", str(shower), "-o", str(target), *NETWORK, *SEGMENT]) == 0
    return target


def target_of(clip):
    return clip.with_name(f"{clip.stem}.clean.mp4")


def words(nodes, clips, *more):
    return ["clean", *map(str, clips), "--ray", nodes.address, *NETWORK, *SEGMENT, *more]


@contextmanager
def begun(nodes, clips, *more):
    """A job in a process of its own, which ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "streamderain", *words(nodes, clips, *more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def done_of(clip):
    found = StateFolder(target_of(clip)).load()
    return len(found.done) if found else 0


def until_both_work(nodes, clips):
    """Wait until each node's worker has been seen writing a segment: both have taken part."""
    seen = set()

    def both():
        for name in (name for clip in clips for name in hidden(clip)):
            seen.update(map(int, re.findall(r"\.part-(\d+)", name)))
        workers = nodes.workers()
        return len(workers) == 2 and seen.issuperset(workers)

    until(both, LONG_S)


def hidden(clip):
    """Return the names of what is being written of a video's segments."""
    with suppress(FileNotFoundError):
        return [path.name for path in StateFolder(target_of(clip)).path.glob(".*")]
    return []


def assert_same(clip, expected):
    """Frames come out alike; the encoder writes other bits with another number of cores."""
    target = target_of(clip)
    assert frame_times(target) == frame_times(expected)
    got, wanted = planes(target), planes(expected)
    assert len(got) == len(wanted) == FRAMES
    for a, b in zip(got, wanted, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert not StateFolder(target).path.exists()


def test_the_result_is_that_of_one_machine_byte_by_byte(nodes, clips, alone, tmp_path, capsys):
    lines, page = tmp_path / "done.jsonl", tmp_path / "done.md"
    asked = words(
        nodes, clips, "--ray-cpus", "0", "--workers", "2", "--json", "--evidence",
        "--report", str(lines), "--summary", str(page),
    )  # fmt: skip
    assert main(asked) == 0
    told = json.loads(capsys.readouterr().out)
    assert [job["input"] for job in told["jobs"]] == [str(clip) for clip in clips]
    for clip, job in zip(clips, told["jobs"], strict=True):
        assert target_of(clip).read_bytes() == alone.read_bytes()
        assert job["ok"]
        assert job["frames_in"] == job["frames_out"] == FRAMES
        assert job["derained"] + job["bypassed"]["dry"] == FRAMES
        assert job["bypassed"]["dry"] > 0
        assert main(["verify", str(target_of(clip)), "--source", str(clip)]) == 0
    assert len(lines.read_text().splitlines()) == 2
    assert "2 of 2 done" in page.read_text()
    capsys.readouterr()
    assert main([*asked, "--resume"]) == 0, "all is there"
    assert all(job["skipped"] for job in json.loads(capsys.readouterr().out)["jobs"])


def test_a_node_killed_in_the_middle_costs_nothing(nodes, clips, alone, tmp_path):
    with begun(nodes, clips, "--ray-cpus", "1", "--json") as process:
        until_both_work(nodes, clips)
        nodes.lose(nodes.nodes[1])
        out, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 0, err
    assert "was lost (its node is gone); segment" in err
    for clip, job in zip(clips, json.loads(out)["jobs"], strict=True):
        assert job["ok"]
        assert job["frames_out"] == FRAMES
        assert frame_times(target_of(clip)) == frame_times(alone)
        assert sorted(path.name for path in clip.parent.glob(f"{clip.stem}*")) == [
            f"{clip.stem}.clean.mp4", clip.name,
        ]  # fmt: skip


def test_what_is_done_outlives_ctrl_c_and_a_driver_that_is_killed(nodes, clips, alone, capsys):
    more = ("--ray-cpus", "0", "--workers", "1")
    with begun(nodes, clips[:1], *more) as process:
        until(lambda: done_of(clips[0]) >= 1, LONG_S)
        (worker,) = nodes.workers()
        os.kill(worker, signal.SIGSTOP)  # or it would be done before the other one begins
        assert main(words(nodes, clips[:1], *more, "--overwrite")) == 1
        assert "is being written by another process" in capsys.readouterr().err
        process.send_signal(signal.SIGINT)
        os.kill(worker, signal.SIGCONT)
        _, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 130
    assert re.search(r"of 1 video (is|are) kept, and --resume continues there", err)
    kept = done_of(clips[0])
    assert 1 <= kept < 8
    until(lambda: not nodes.workers(), LONG_S)
    assert StateFolder(target_of(clips[0])).path.is_dir()
    assert not hidden(clips[0])

    with begun(nodes, clips[:1], *more, "--resume") as process:
        until(lambda: done_of(clips[0]) > kept, LONG_S)
        process.kill()
        process.communicate()
    kept = done_of(clips[0])
    assert not target_of(clips[0]).exists()
    assert main(words(nodes, clips[:1], *more, "--resume", "--json")) == 0
    job = json.loads(capsys.readouterr().out)["jobs"][0]
    assert job["resumed"] == kept
    assert_same(clips[0], alone)


def test_a_worker_with_another_model_file_takes_no_part(nodes, clips, alone, tmp_path):
    model = Path(shutil.copy2(models_folder() / "video-xs.onnx", tmp_path / "video-xs.onnx"))
    asked = ("--ray-cpus", "1", "--json", "--model", str(model))
    with begun(nodes, clips, *asked) as process:
        until_both_work(nodes, clips)
        # A comment at the end: the same network, but nobody could know.
        model.write_bytes(model.read_bytes() + b"\x32\x01x")
        os.kill(nodes.workers()[0], signal.SIGKILL)
        out, err = process.communicate(timeout=LONG_S)
        assert process.returncode == 0, err
    assert "a worker takes no part: node" in err
    assert "has another file of the model video-xs than node" in err
    assert all(job["frames_out"] == FRAMES for job in json.loads(out)["jobs"])
