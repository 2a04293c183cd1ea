"""Runs the tasks of ``child.py`` in other processes and tells what became of them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from streamderain.doctor.snapshot import Fate
from streamderain.source import hide_secrets

__all__ = ["Outcome", "Task", "run_tasks"]

Task = dict[str, Any]
"""``do`` and its arguments."""

PATIENCE_S = 120.0
"""Seconds that a task may take: a GPU's first kernels may have to be compiled."""

GRACE_S = 5.0
"""Seconds that a process may take to end; one that hangs in a driver may never."""

BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from streamderain.doctor.child import main; main(json.loads(sys.argv[2]))"
)
"""Python's path goes along: what this process would import, the other one does."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Attributes:
        fate: ``missing`` is a module that isn't there.
        facts: what it found, where it works.
        trouble: why it doesn't.
    """

    fate: Fate
    facts: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""


def run_tasks(tasks: Sequence[Task], patience: float = PATIENCE_S) -> list[Outcome]:
    """Return an outcome for each task, in their order.

    They share a process until one takes it down; the rest go on in a new one.

    Args:
        tasks: what to do.
        patience: seconds that each may take.
    """
    outcomes: list[Outcome] = []
    while len(outcomes) < len(tasks):
        outcomes += _run_until_it_ends(tasks[len(outcomes) :], patience)
    return outcomes


def _run_until_it_ends(tasks: Sequence[Task], patience: float) -> list[Outcome]:
    """Return outcomes of the first tasks, at least of one."""
    outcomes: list[Outcome] = []
    arguments = [sys.executable, "-c", BOOT, json.dumps(sys.path), json.dumps(list(tasks))]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            text=True, encoding="utf-8", errors="replace", start_new_session=os.name == "posix",
        )  # fmt: skip
        assert process.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
        wait = 0.0
        try:
            while len(outcomes) < len(tasks):
                line = lines.get(timeout=patience)
                if line is None:
                    how = _obituary(_end(process, GRACE_S), errors)
                    outcomes.append(Outcome("crashes", trouble=how))
                    break
                outcomes += _understood(line)
            wait = GRACE_S
        except queue.Empty:
            outcomes.append(Outcome("hangs", trouble=f"no answer within {patience:.0f} seconds"))
        finally:
            _end(process, wait)
    return outcomes


def _understood(line: str) -> list[Outcome]:
    """Return the outcome that a line tells, or none where it is something else's print."""
    try:
        answer = json.loads(line)
        if "facts" in answer:
            return [Outcome("works", answer["facts"])]
        fate: Fate = "missing" if answer["missing"] else "fails"
        return [Outcome(fate, trouble=hide_secrets(answer["error"]))]
    except (ValueError, TypeError, KeyError):
        return []


def _pump(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    """Pass lines on, then None."""
    with stream, contextlib.suppress(ValueError):
        for line in stream:
            lines.put(line)
    lines.put(None)


def _end(process: subprocess.Popen[str], wait: float) -> int | None:
    """Return a process's exit code; end it, and what it started, where it doesn't by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(wait)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(GRACE_S)
    return None


def _obituary(code: int | None, errors: IO[bytes]) -> str:
    """Return how a process ended, and the last that it said."""
    if code is not None and code < 0:
        try:
            how = f"it was ended by {signal.Signals(-code).name}"
        except ValueError:
            how = f"it was ended by signal {-code}"
    else:
        how = f"it ended with exit code {code}"
    errors.seek(0)
    said = errors.read().decode("utf-8", errors="replace").strip().splitlines()
    return f"{how} ({hide_secrets(said[-1].strip()[:200])})" if said else how
