"""How long a batch takes with so many workers: ``python -m tools.simulate_cluster ...``.

The scheduling is that of ``clean --ray`` itself (``streamderain/cluster/schedule.py``), in a
virtual time; what a segment, a look ahead and a join take are figures that were measured before, by
``python -m tools.bench_cluster``. The machine that plans and joins does so one video after the
other, which is the most that its disk can be expected to do.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from streamderain.cluster.schedule import Schedule
from streamderain.errors import UsageError
from tools.ending import ends_in_a_sentence

__all__ = ["Batch", "Costs", "Outcome", "main", "simulate", "table"]

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Batch:
    """What is to be cleaned.

    Attributes:
        videos: how many.
        frames: of each.
        segment: frames of a segment.
    """

    videos: int
    frames: int
    segment: int

    @property
    def segments(self) -> list[int]:
        """Frames of the segments of a video; as they are cut, the last isn't short."""
        whole = max(1, round(self.frames / self.segment))
        return [self.frames // whole + (at < self.frames % whole) for at in range(whole)]


@dataclass(frozen=True)
class Costs:
    """What the work takes, frames a second each.

    Attributes:
        clean: a worker cleans.
        look: a scout looks through.
        join: the machine that was asked puts together, and copies the sound.
    """

    clean: float
    look: float
    join: float


@dataclass(frozen=True)
class Outcome:
    """How it went.

    Attributes:
        seconds: until the last video is there.
        busy: the share of their time that workers cleaned.
    """

    seconds: float
    busy: float


@dataclass
class _State:
    batch: Batch
    costs: Costs
    idle: int
    schedule: Schedule = field(default_factory=Schedule)
    events: list[tuple[float, int, str, int, int]] = field(default_factory=list)
    order: count[int] = field(default_factory=count)
    now: float = 0.0
    worked: float = 0.0
    joined_at: float = 0.0
    begun: int = 0

    def later(self, seconds: float, what: str, video: int, number: int) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.order), what, video, number))


def simulate(batch: Batch, costs: Costs, workers: int) -> Outcome:
    """Run a batch in virtual time.

    Raises:
        UsageError: there is nothing to do, or nobody to do it.
    """
    if min(batch.videos, batch.frames, batch.segment, workers) < 1:
        raise UsageError("videos, frames, segments and workers are 1 or more")
    if min(costs.clean, costs.look, costs.join) <= 0:
        raise UsageError("speeds are above 0 frames a second")
    state = _State(batch, costs, workers)
    _hand_out(state)
    while state.events:
        state.now, _, what, video, number = heapq.heappop(state.events)
        if what == "cleaned":
            state.idle += 1
            state.schedule.done(video, number)
            if state.schedule.is_over(video):
                state.schedule.remove(video)
                begins = max(state.now, state.joined_at)
                state.joined_at = begins + batch.frames / costs.join
        elif number < len(batch.segments):
            state.schedule.tell(video, number)
            state.later(batch.segments[number] / costs.look, what, video, number + 1)
        else:
            state.schedule.scouted(video)
        _hand_out(state)
    return Outcome(state.joined_at, state.worked / (workers * state.joined_at))


def _hand_out(state: _State) -> None:
    """Do as the batch does: begin videos as workers run out of work, then look ahead."""
    sizes = state.batch.segments
    while state.begun < state.batch.videos and state.schedule.ready <= state.idle:
        state.schedule.add(state.begun, dict(enumerate(sizes)), {0})
        state.begun += 1
    while state.idle and (work := state.schedule.next()):
        state.idle -= 1
        seconds = sizes[work[1]] / state.costs.clean
        state.worked += seconds
        state.later(seconds, "cleaned", *work)
    for video, (first, _) in state.schedule.scout(state.idle).items():
        state.later(sizes[first] / state.costs.look, "looked", video, first + 1)


def table(batch: Batch, costs: Costs, workers: Sequence[int]) -> str:
    """Return how a batch goes with more and more workers, in Markdown."""
    lines = [
        "| workers | hours | times as fast as one | workers at work |",
        "| --: | --: | --: | --: |",
    ]
    one = simulate(batch, costs, 1).seconds
    for number in workers:
        found = simulate(batch, costs, number)
        lines.append(
            f"| {number:,} | {found.seconds / 3600:.2f} | {one / found.seconds:.1f} | "
            f"{found.busy:.0%} |"
        )
    return "\n".join(lines)


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.simulate_cluster", description=__doc__)
    parser.add_argument("--videos", type=int, default=40, help="how many recordings")
    parser.add_argument("--hours", type=float, default=1.0, help="of each")
    parser.add_argument("--fps", type=float, default=25.0, help="of each")
    parser.add_argument("--segment", type=float, default=180.0, help="seconds of a segment")
    parser.add_argument("--clean", type=float, required=True, help="frames/s of a worker")
    parser.add_argument("--look", type=float, required=True, help="frames/s of a look ahead")
    parser.add_argument("--join", type=float, required=True, help="frames/s put together")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    args = parser.parse_args(arguments)
    batch = Batch(args.videos, round(args.hours * 3600 * args.fps), round(args.segment * args.fps))
    print(table(batch, Costs(args.clean, args.look, args.join), args.workers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
