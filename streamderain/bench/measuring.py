"""Against the clock: one thing again and again, or several in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from streamderain.bench.figures import Sample

__all__ = ["LEAST", "MOST", "Clock", "measure", "take_turns"]

Clock = Callable[[], float]
"""Gives seconds."""

LEAST = 4
"""Calls that are measured at least, however long they take."""
MOST = 600
"""Calls after which the figures don't change any more."""

T = TypeVar("T")


def measure(
    step: Callable[[], int],
    seconds: float,
    *,
    warm: int = 2,
    least: int = LEAST,
    most: int = MOST,
    finish: Callable[[], None] | None = None,
    wall: Clock = time.perf_counter,
    cpu: Clock = time.process_time,
) -> Sample:
    """Call something for some time, after calls that don't count.

    Args:
        step: does it once; returns how many frames that were.
        seconds: how long, at most but for ``least``.
        warm: calls that don't count.
        least, most: calls that do.
        finish: what is left to do at the end, counted in the whole but in no call.
        wall, cpu: seconds that have gone by, and that all cores have worked for the process.
    """
    for _ in range(warm):
        step()
    frames, calls = 0, list[float]()
    worked, began = cpu(), wall()
    now = began
    while len(calls) < least or (len(calls) < most and now - began < seconds):
        frames += step()
        ended = wall()
        calls.append(ended - now)
        now = ended
    if finish is not None:
        finish()
        now = wall()
    return Sample(frames, now - began, cpu() - worked, calls)


def take_turns(runs: Sequence[Callable[[], T]], rounds: int) -> list[list[T]]:
    """Let several run in turns, A B A B, so that what slows the machine down meets them all.

    Returns:
        What each gave, round by round.
    """
    given: list[list[T]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, gave in zip(runs, given, strict=True):
            gave.append(run())
    return given
