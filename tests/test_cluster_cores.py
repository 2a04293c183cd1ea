"""Cores of a worker's own."""

import os
import subprocess
import sys
import threading

import pytest

from streamderain.cluster.cores import Cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux only")


def test_no_two_take_the_same_cores(tmp_path):
    one, two = Cores(2, tmp_path, range(5)), Cores(2, tmp_path, range(5))
    assert (one.taken, two.taken) == ((0, 1), (2, 3))
    assert Cores(2, tmp_path, range(5)).taken == (), "one core is left; all are used instead"
    three = Cores(1, tmp_path, range(5))
    assert three.taken == (4,), "who got nothing holds nothing"
    one.close()
    four = Cores(2, tmp_path, range(5))
    assert four.taken == (0, 1)
    for cores in (two, three, four):
        cores.close()


@pytest.mark.parametrize("count", [0, 5, 6])
def test_where_all_are_wanted_or_none_all_are_used(tmp_path, count):
    assert Cores(count, tmp_path, range(5)).taken == ()


def test_cores_are_free_again_when_their_process_ends(tmp_path):
    code = (
        "import sys; from pathlib import Path; from streamderain.cluster.cores import Cores\n"
        "print(Cores(2, Path(sys.argv[1]), range(3)).taken, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"(0, 1)\n"
        assert Cores(2, tmp_path, range(3)).taken == ()
        process.kill()
    cores = Cores(2, tmp_path, range(3))
    assert cores.taken == (0, 1)
    cores.close()


def test_a_thread_and_those_it_begins_keep_to_their_cores(tmp_path):
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        pytest.skip("there is one core only")
    found = []

    def work():
        cores.use()
        inner = threading.Thread(target=lambda: found.append(os.sched_getaffinity(0)))
        inner.start()
        inner.join()

    cores = Cores(1, tmp_path)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    cores.close()
    assert found == [{usable[0]}]
    assert sorted(os.sched_getaffinity(0)) == usable, "others aren't touched"
