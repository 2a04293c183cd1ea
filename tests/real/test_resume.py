"""kill -9 at random moments of a job: each time it is continued, and nothing shows in the end."""

import multiprocessing
import os
import random
import shutil
import signal
import time

import numpy as np
import pytest

from streamderain.segments.manifest import StateFolder
from tests.clips import frame_times, planes
from tests.graphs import video_network_file
from tests.showers import make_shower

KILLS, SEGMENTS = 20, 5


def job(folder, network, words):
    """What a process does that may be killed at any moment."""
    from streamderain.cli import main

    os.setpgid(0, 0)
    os.chdir(folder)
    os._exit(main(["clean", "rain.mp4", "--model", network, "--backend", "onnx", "--device",
                   "cpu", "--segment", "0.5s",
                   "--preset", "superfast", *words]))  # fmt: skip


@pytest.fixture(scope="module")
def processes():
    """Processes of their own that needn't import everything anew."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["streamderain.clean", "streamderain.inference.onnx", "onnxruntime", __name__]
    )
    return context


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return video_network_file(tmp_path_factory.mktemp("network") / "past.onnx")


def run(processes, folder, network, words, kill_after=None):
    """Run a job, and kill it some time after so many segments are done; return its exit code."""
    process = processes.Process(target=job, args=(folder, network, words))
    process.start()
    if kill_after is not None:
        segments, seconds = kill_after
        state = StateFolder(folder / "rain.clean.mp4")
        while process.is_alive() and done_of(state) < segments:
            time.sleep(0.001)
        process.join(seconds)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode


def done_of(state):
    found = state.load()
    return len(found.done) if found else 0


def test_a_job_killed_at_twenty_moments_ends_as_if_nobody_had_killed_it(
    processes, network, tmp_path
):
    clip = make_shower(
        tmp_path / "rain.mp4", frames=65, height=64, width=128, pan=0.7, audio=True,
        showers=((20, 45),), options={"g": "13"},
    )  # fmt: skip
    calm = tmp_path / "calm"
    calm.mkdir()
    shutil.copy2(clip, calm)
    assert run(processes, calm, network, []) == 0, "and the fork server is warm"
    (calm / "rain.clean.mp4").unlink()
    began = time.monotonic()
    assert run(processes, calm, network, []) == 0
    seconds = time.monotonic() - began
    expected, times = planes(calm / "rain.clean.mp4"), frame_times(calm / "rain.clean.mp4")

    rng, kept = random.Random(8), []
    for kill in range(KILLS):
        folder = tmp_path / f"{kill}"
        folder.mkdir()
        shutil.copy2(clip, folder)
        target = folder / "rain.clean.mp4"
        # Spread over the whole job, its beginning and its joining as well.
        moment = kill % (SEGMENTS + 1), rng.random() * seconds / SEGMENTS
        assert run(processes, folder, network, [], moment) in (0, -signal.SIGKILL)
        state = StateFolder(target)
        found = state.load()
        over = (state.path / "over.json").exists()  # killed while it removed the folder
        assert found is not None or over or not list(state.path.glob("*.nut")), "first the manifest"
        kept.append(len(found.done) if found else 0)
        assert run(processes, folder, network, ["--resume"]) == 0
        assert sorted(path.name for path in folder.iterdir()) == ["rain.clean.mp4", "rain.mp4"]
        got = planes(target)
        assert frame_times(target) == times
        assert len(got) == len(expected)
        for a, b in zip(got, expected, strict=True):
            assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True)), f"after {moment}"
    assert len(set(kept)) > 2, f"segments kept: {kept}"
