"""Who works on a target in a store: a small object that its owner renews.

A store has no locks that end with their process. So whoever works writes a claim, only where there
is none if the store can do that, and renews it every ten seconds. Who finds a claim watches it: one
that is renewed meanwhile belongs to somebody at work; one that isn't for :data:`LEASE_S` was left
behind. No clock of another machine is asked. On one machine, a process that is gone is known.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamderain.errors import OutputError, StreamderainError
from streamderain.storage.address import RemotePath
from streamderain.storage.files import Store

__all__ = ["LEASE_S", "Claim", "Owner"]

LEASE_S = 45.0
"""A claim that wasn't renewed for so long, while somebody watched, was left behind."""

RENEWED_EVERY_S = 10.0

LOOK_EVERY_S = 3.0
"""How often a claim is looked at by who waits for it to be renewed."""

SETTLE_S = 2.0
"""After taking a claim over it is read once more: who writes last has it."""


def _machine() -> str:
    """Return what only processes that see each other's numbers have in common; may be empty."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _begun(pid: int) -> str:
    """Return when a process that we see began, in ticks; empty where it is no more."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    return ""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has a claim.

    Attributes:
        token: of this claim and no other.
        host, pid: for people.
        begun: when the process began, since numbers of processes come again.
        machine: processes with the same see each other; empty where that can't be told.
    """

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    begun: str = field(default_factory=lambda: _begun(os.getpid()))
    machine: str = field(default_factory=_machine)

    def is_there(self, machine: str) -> bool | None:
        """Say whether the process is still there; None where that can't be told.

        Args:
            machine: of who asks.
        """
        if not self.machine or self.machine != machine:
            return None
        return _begun(self.pid) == self.begun != ""


class Claim:
    """The claim on one target, from :meth:`take` to :meth:`release`.

    Args:
        place: of the small object.
        target: what is claimed, for sentences.
        owner: who claims.
        clock: seconds, monotonic.
        sleep: waits so many seconds.
        renewed_every_s: None never renews.
    """

    def __init__(
        self, place: RemotePath, target: RemotePath, owner: Owner | None = None, *,
        clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
        renewed_every_s: float | None = RENEWED_EVERY_S,
    ) -> None:  # fmt: skip
        self._place, self._target, self._owner = place, target, owner or Owner()
        self._clock, self._sleep, self._every = clock, sleep, renewed_every_s
        self._store = Store(place)
        self._renewals, self._taken = 0, False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def taken(self) -> bool:
        """Whether we have it, as far as we know."""
        return self._taken

    def take(self) -> None:
        """Claim the target; waits for as long as it takes to see whether another is at work.

        Raises:
            OutputError: another process works on it, or the store can't be written.
            InputError: the store can't be read.
        """
        if not self._store.create(self._place, self._content()):
            self._watch()
            self._store.write(self._place, self._content())
            self._sleep(SETTLE_S)
        self.check()
        if self._every is not None:
            self._thread = threading.Thread(target=self._renew, name="claim", daemon=True)
            self._thread.start()

    def check(self) -> None:
        """Make sure that it is still ours; before anything that others would see.

        Raises:
            OutputError: another process has taken it, or it was removed.
            InputError: the store can't be read.
        """
        found = self._found()
        if found is None:
            raise OutputError(
                f"the claim on {self._target} was removed by somebody; what is done is left as it "
                "is, try again"
            )
        if found.get("token") != self._owner.token:
            raise self._refusal(found)
        self._taken = True

    def is_ours(self) -> bool:
        """Say whether it is still ours; no where that can't be found out."""
        try:
            self.check()
        except StreamderainError:
            return False
        return True

    def release(self) -> None:
        """Let others in; harmless twice, and where it isn't ours."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if not self._taken:
            return
        self._taken = False
        with suppress(StreamderainError):  # it goes stale by itself
            found = self._found()
            if found is not None and found.get("token") == self._owner.token:
                self._store.remove(self._place)

    def _watch(self) -> None:
        """Return when the claim that was found is nobody's any more."""
        first = self._found()
        begun = self._clock()
        if first is not None and first.get("token") == self._owner.token:
            return  # we wrote it, though the answer to that was lost
        while first is not None:
            there = _owner(first).is_there(self._owner.machine)
            if there:
                raise self._refusal(first)
            if there is False:
                return
            if self._clock() - begun >= LEASE_S:
                return
            self._sleep(LOOK_EVERY_S)
            now = self._found()
            if now is not None and now != first:
                raise self._refusal(now)
            if now is None:
                return

    def _renew(self) -> None:
        assert self._every is not None
        while not self._stop.wait(self._every):
            with suppress(StreamderainError):  # whoever goes on asks for itself
                found = self._found()
                if found is None or found.get("token") != self._owner.token:
                    return
                self._renewals += 1
                self._store.write(self._place, self._content())

    def _content(self) -> bytes:
        owner = self._owner
        said = {
            "token": owner.token, "host": owner.host, "pid": owner.pid, "begun": owner.begun,
            "machine": owner.machine, "renewals": self._renewals,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        return json.dumps(said).encode()

    def _found(self) -> dict[str, Any] | None:
        content = self._store.read(self._place)
        if content is None:
            return None
        with suppress(ValueError):
            found = json.loads(content)
            if isinstance(found, dict):
                return found
        return {"damaged": content.hex()}

    def _refusal(self, found: dict[str, Any]) -> OutputError:
        owner = _owner(found)
        return OutputError(
            f"{self._target} is being written by another process ({owner.pid} on {owner.host}); "
            "wait until it is done, or name another target"
        )


def _owner(found: dict[str, Any]) -> Owner:
    pid = found.get("pid")
    return Owner(
        token=str(found.get("token", "")), host=str(found.get("host", "a machine unknown")),
        pid=pid if isinstance(pid, int) else 0, begun=str(found.get("begun", "")),
        machine=str(found.get("machine", "")),
    )  # fmt: skip
