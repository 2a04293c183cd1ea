"""``streamderain clean`` in a process of its own: pipes, interruptions, full disks."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from tests.test_cli_clean import make_clip
from tests.waiting import until


def run(*arguments, **options):
    command = [sys.executable, "-m", "streamderain", *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=False, **options)


def test_it_stands_between_two_raw_pipes():
    frames = np.random.default_rng(0).integers(0, 256, (5, 24, 32, 3), dtype=np.uint8)
    done = run(
        "clean", "-", "-o", "-", "--size", "32x24", "--fps", "25", "--model", "null",
        input=frames.tobytes(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == frames.tobytes()


def test_raw_frames_can_become_a_file(tmp_path):
    frames = np.full((7, 24, 32, 3), 90, np.uint8)
    done = run(
        "clean", "-", "-o", str(tmp_path / "a.mp4"), "--size", "32x24", "--fps", "30000/1001",
        "--model", "null", input=frames.tobytes(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == pytest.approx(30000 / 1001, rel=1e-3)
        assert sum(1 for _ in container.decode(video=0)) == 7


def test_a_reader_that_leaves_early_is_no_traceback():
    frames = np.zeros((200, 240, 320, 3), np.uint8)
    command = [
        sys.executable, "-m", "streamderain", "clean", "-", "-o", "-",
        "--size", "320x240", "--fps", "25", "--model", "null",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.close()
        try:
            process.stdin.write(frames.tobytes())
            process.stdin.close()
        except BrokenPipeError:
            pass
        errors = process.stderr.read().decode()
        assert process.wait(60) == 1
    assert "standard output was closed" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 2])
def test_an_interruption_leaves_nothing_behind(tmp_path, signals):
    """Raw frames that never end keep the job in its middle until the signal comes."""
    target = tmp_path / "out.mp4"
    command = [
        sys.executable, "-m", "streamderain", "clean", "-", "-o", str(target),
        "--size", "64x48", "--fps", "25", "--model", "null",
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stderr is not None
        process.stdin.write(bytes(64 * 48 * 3 * 20))
        process.stdin.flush()
        until(lambda: any(".part-" in path.name for path in tmp_path.iterdir()), 30)
        for number in signals:
            process.send_signal(number)
        try:
            code = process.wait(30)
        finally:
            process.stdin.close()
        said = process.stderr.read().decode()
    assert code == 130, said
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1] == "interrupted: nothing half-written was left behind"


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.2, 0.4])
def test_ctrl_c_twice_while_the_network_works_never_aborts(tmp_path, pause):
    """Libraries whose threads are at work must not be taken down around them."""
    clip = make_clip(tmp_path / "in.mp4", frames=400, height=240, width=320)
    out = tmp_path / "out"
    out.mkdir()
    command = [
        sys.executable, "-m", "streamderain", "clean", str(clip), "-o", str(out / "a.mp4"),
        "--model", "attention-s", "--always",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        until(lambda: any(".part-" in path.name for path in out.iterdir()), 30)
        time.sleep(pause)  # at several moments of its work
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        code = process.wait(30)
        said = process.stderr.read().decode()
    assert code == 130, said
    assert list(out.iterdir()) == []


@pytest.fixture
def tiny_disk(tmp_path):
    """Mount a file system of 256 KiB; needs root."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tiny_disk, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 240, 320, 3), dtype=np.uint8)
    done = run(
        "clean", "-", "-o", str(tiny_disk / "out.mkv"), "--size", "320x240", "--fps", "25",
        "--model", "null", "--crf", "0", input=noise.tobytes(),
    )  # fmt: skip
    said = done.stderr.decode().strip().splitlines()
    assert done.returncode == 1
    assert any(line.startswith("error: ") and "room" in line for line in said), said
    assert "Traceback" not in done.stderr.decode()
    assert list(tiny_disk.iterdir()) == []


def test_no_permission_is_one_sentence(tmp_path):
    if os.geteuid() == 0:
        folder = Path("/proc/sys/kernel")  # where not even root can make files
    else:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
    clip = make_clip(tmp_path / "a.mp4", frames=2)
    done = run("clean", str(clip), "-o", str(folder / "out.mp4"), "--model", "null")
    said = done.stderr.decode().strip().splitlines()
    assert done.returncode == 1
    assert said[-1].startswith("error: ")
    assert "Traceback" not in done.stderr.decode()


def test_plain_lines_are_written_where_there_is_no_terminal(tmp_path):
    clip = make_clip(tmp_path / "a.mp4")
    done = run("clean", str(clip), "--model", "null")
    text = done.stderr.decode()
    assert "12 frames" in text
    assert "\x1b" not in text
