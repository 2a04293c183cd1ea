"""Two networks, runtimes or precisions in turns, so that both meet the same machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamderain.bench.figures import ratio_of
from streamderain.bench.footage import Footage
from streamderain.bench.measuring import take_turns
from streamderain.bench.passing import derainer_for, pass_through
from streamderain.bench.results import Against
from streamderain.bench.stages import ALWAYS, prepare, run_network
from streamderain.errors import UsageError
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS
from streamderain.inference.precision import PRECISIONS

__all__ = ["Rival", "measure_against", "parse_rival"]

ROUNDS_ALONE, ROUNDS_TOGETHER = 7, 3
"""Pairs of the networks alone, and with all stages."""


@dataclass(frozen=True)
class Rival:
    """What to measure against: as ``create_backend`` takes them."""

    model: str
    backend: str
    precision: str


def parse_rival(text: str, *, backend: str, precision: str) -> Rival:
    """Return what ``MODEL[:BACKEND[:PRECISION]]`` means.

    Args:
        text: an empty part counts as one that is left out.
        backend, precision: where the text has none: those of the first.

    Raises:
        UsageError: it is written otherwise, or there is no such backend or precision.
    """
    if text.endswith((".onnx", ".safetensors")):  # its folders' names may hold colons
        return Rival(text, backend, precision)
    model, *words = text.split(":")
    first, second = (*words, "", "")[:2]
    chosen = Rival(model, first or backend, second or precision)
    known = chosen.backend in BACKENDS and chosen.precision in PRECISIONS
    if not model or len(words) > 2 or not known:
        raise UsageError(
            f"--against is MODEL[:BACKEND[:PRECISION]], with {', '.join(BACKENDS)} and "
            f"{', '.join(PRECISIONS)}, not {text!r}"
        )
    return chosen


def measure_against(
    ours: Backend,
    theirs: Backend,
    footage: Footage,
    clip: Path,
    batches: tuple[int, int],
    seconds: float,
) -> Against:
    """Measure two in turns, A B A B: the networks alone, then with all stages.

    Args:
        ours, theirs: what runs them.
        footage: what the networks get alone.
        clip: what goes through all stages; the result is written beside it.
        batches: frames a run of each.
        seconds: for each of both, of the networks alone.

    Raises:
        StreamderainError: what the first failing one said.
    """
    both = list(zip((ours, theirs), batches, strict=True))
    alone = take_turns(
        [_turn(backend, footage, batch, seconds / ROUNDS_ALONE) for backend, batch in both],
        ROUNDS_ALONE,
    )
    together = take_turns([_whole(*one, clip) for one in both], ROUNDS_TOGETHER)
    return Against(
        model=theirs.name, device=theirs.device, runtime=theirs.runtime,
        infer=ratio_of(*alone), together=ratio_of(*together),
        infer_frames_per_second=_rates(alone), together_frames_per_second=_rates(together),
    )  # fmt: skip


def _turn(backend: Backend, footage: Footage, batch: int, seconds: float) -> Callable[[], float]:
    """Return what runs the network for some time and gives the seconds a frame."""
    run = run_network(backend, prepare(footage, backend.inputs), batch)
    run()
    count = _runs_in(run, seconds)

    def turn() -> float:
        began = time.perf_counter()
        for _ in range(count):
            run()
        return (time.perf_counter() - began) / (count * batch)

    return turn


def _runs_in(run: Callable[[], object], seconds: float) -> int:
    began = time.perf_counter()
    run()
    return max(1, round(seconds / max(time.perf_counter() - began, 1e-6)))


def _whole(backend: Backend, batch: int, clip: Path) -> Callable[[], float]:
    target = clip.with_name("rival.mp4")

    def whole() -> float:
        derainer = derainer_for(backend, batch, ALWAYS)
        return pass_through(clip, target, derainer, batch, backend.device).sample.frame_s

    return whole


def _rates(frame_s: list[list[float]]) -> tuple[float, float]:
    first, second = (1 / statistics.median(turns) for turns in frame_s)
    return first, second
