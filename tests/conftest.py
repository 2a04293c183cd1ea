"""Fixtures that several tests share."""

import os
import signal
import subprocess

import pytest

# Started in the background of a shell, a process is born deaf to Ctrl-C, and so are its children.
# The tests of interruption send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# What is tested is what runtimes make of the files here, not what the user's cache holds.
os.environ["STREAMDERAIN_CACHE"] = "off"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
