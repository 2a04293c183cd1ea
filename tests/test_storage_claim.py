"""Who may work on a target in a store: claims that are taken, renewed, left behind, lost."""

import itertools
import subprocess
import sys

import pytest

fsspec = pytest.importorskip("fsspec", reason="stores need fsspec, streamderain[storage]")

from streamderain.errors import OutputError  # noqa: E402
from streamderain.storage.address import place_of  # noqa: E402
from streamderain.storage.claim import LEASE_S, Claim, Owner  # noqa: E402
from tests.waiting import until  # noqa: E402

TARGET = place_of("memory://clean/gate.mp4")
PLACE = place_of("memory://clean/gate.mp4.streamderain/lock")


class Time:
    """A clock that goes on when somebody sleeps; ``then`` happens meanwhile."""

    def __init__(self, then=lambda: None):
        self.now, self.then = 0.0, then

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.then()


@pytest.fixture(autouse=True)
def memory():
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()


def claim(machine, time=None, **owner):
    time = time or Time()
    return Claim(
        PLACE, TARGET, Owner(host=machine, machine=machine, **owner), clock=time.clock,
        sleep=time.sleep, renewed_every_s=None,
    )  # fmt: skip


def test_a_claim_is_there_until_it_is_released(memory):
    one = claim("one")
    one.take()
    one.check()
    assert memory.exists("/clean/gate.mp4.streamderain/lock")
    one.release()
    one.release()
    assert not memory.exists("/clean/gate.mp4.streamderain/lock")


def test_one_that_is_renewed_meanwhile_keeps_others_out(memory):
    one = claim("one", pid=1234)
    one.take()
    counts = itertools.count(1)

    def renew():
        one._renewals = next(counts)
        memory.pipe_file("/clean/gate.mp4.streamderain/lock", one._content())

    time = Time(renew)
    with pytest.raises(OutputError, match=r"being written by another process \(1234 on one\)"):
        claim("other", time).take()
    assert time.now < LEASE_S
    one.check()


def test_one_that_nobody_renews_is_taken_over_after_its_time(memory):
    left, time = claim("one"), Time()
    left.take()
    other = claim("other", time)
    other.take()
    assert LEASE_S <= time.now < LEASE_S + 10
    other.check()
    with pytest.raises(OutputError, match="on other"):
        left.check()
    left.release()
    other.check()


def test_of_two_that_take_over_at_once_the_last_has_it(memory):
    claim("gone").take()
    second = claim("second")

    def meanwhile():
        if time.now > LEASE_S:
            memory.pipe_file("/clean/gate.mp4.streamderain/lock", second._content())

    time = Time(meanwhile)
    with pytest.raises(OutputError, match="on second"):
        claim("first", time).take()
    second.check()


def test_a_process_of_this_machine_that_is_gone_is_known_at_once():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    here = Owner()
    if not here.machine:
        pytest.skip("needs /proc")
    left = Claim(PLACE, TARGET, Owner(pid=gone.pid, begun="12345"), renewed_every_s=None)
    left.take()
    time = Time()
    mine = Claim(PLACE, TARGET, sleep=time.sleep, clock=time.clock, renewed_every_s=None)
    mine.take()
    assert time.now < LEASE_S
    with pytest.raises(OutputError, match="being written by another process"):
        Claim(PLACE, TARGET, sleep=time.sleep, clock=time.clock).take()


def test_a_claim_that_somebody_removed_is_not_ours_any_more(memory):
    one = claim("one")
    one.take()
    memory.rm("/clean/gate.mp4.streamderain/lock")
    with pytest.raises(OutputError, match="was removed by somebody"):
        one.check()


def test_a_damaged_claim_is_waited_for_as_any_other(memory):
    memory.pipe_file("/clean/gate.mp4.streamderain/lock", b"\xff{")
    time = Time()
    one = claim("one", time)
    one.take()
    assert time.now >= LEASE_S
    one.check()


def test_a_claim_is_renewed_for_as_long_as_it_is_held(memory):
    lock = "/clean/gate.mp4.streamderain/lock"
    one = Claim(PLACE, TARGET, renewed_every_s=0.01)
    one.take()
    first = memory.cat_file(lock)
    until(lambda: memory.cat_file(lock) != first)
    one.release()
    assert not memory.exists(lock)
    assert one._thread is None
