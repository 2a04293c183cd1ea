"""Fixtures that several tests share."""

import os
import signal
import subprocess
import tempfile

import pytest
from hypothesis import settings

# On a machine that others use, an example may take any time.
settings.register_profile("anywhere", deadline=None)
settings.load_profile("anywhere")

# Started in the background of a shell, a process is born deaf to Ctrl-C, and so are its children.
# The tests of interruption send it to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Two tests at a time share the cores: PyTorch's threads would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ALONE = {
    "test_control_stress", "test_live_service", "test_ray_live", "test_service_viewers",
    "test_soak",
}  # fmt: skip
"""Modules that measure rates, ages or memory: nothing else is to run beside them. In others, single
tests are marked so."""


UNTIMED = {
    "test_cards", "test_footage", "test_gauge_footage", "test_ray_offline", "test_resume",
    "test_service_fuzz", "test_storage_s3",
}  # fmt: skip
"""Modules of what is real that don't ask how long anything takes: they hold at once, or not."""


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items):
    """Mark the tests that want the machine to themselves, and those that a busy machine may fail.

    The latter ask how long something takes that goes on in several processes. Where others use the
    machine, the answer is theirs too: it is asked again then, and the summary tells of it (R).
    """
    for item in items:
        *packages, module = item.module.__name__.split(".")
        if module in ALONE:
            item.add_marker(pytest.mark.alone)
        if item.get_closest_marker("alone"):
            item.add_marker(pytest.mark.flaky(reruns=2))
        elif "real" in packages and module not in UNTIMED:
            item.add_marker(pytest.mark.flaky(reruns=1))


# What is tested is what runtimes make of the files here, not what the user's cache holds; what one
# test has compiled, others needn't. Workers have their parent's.
if "PYTEST_XDIST_WORKER" not in os.environ:
    cache = tempfile.TemporaryDirectory(prefix="streamderain-tests-")
    os.environ["STREAMDERAIN_CACHE"] = cache.name


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


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty store in memory, and a folder for copies of its own."""
    fsspec = pytest.importorskip("fsspec", reason="stores need fsspec, streamderain[storage]")
    from streamderain.storage import copies

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(copies.tempfile, "tempdir", str(temporary))
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    left = [path for path in temporary.rglob("*") if path.is_file()]
    assert not left, "copies are removed"


@pytest.fixture
def control():
    """What steers two cameras that are made up."""
    from tests.fake_control import FakeControl

    return FakeControl("gate", "yard")


@pytest.fixture
def client(control):
    """Who asks a service of those cameras over REST."""
    from tests.rest import client_of

    with client_of(control) as client:
        yield client
