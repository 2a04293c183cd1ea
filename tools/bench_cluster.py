"""What more workers are worth on this machine: ``python -m tools.bench_cluster``.

The same recordings are cleaned on a Ray cluster of this machine alone, by one worker and by more,
one count after the other and that several times, so that what else the machine does meets all of
them. Workers keep to their cores (``--ray-cpus``), so two on a machine of two cores are what two
machines of one core would be, but for the disk and the network between. What starting takes
counts apart: it is the same for a minute and for a month of recordings.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import av

from streamderain.arguments import parse_size
from streamderain.clean import CleanOptions
from streamderain.cluster.cleaner import NetworkChoice
from streamderain.cluster.offline import ClusterOptions, clean_on_cluster
from streamderain.cluster.telling import Overview
from streamderain.errors import UsageError
from streamderain.inference.backend import PICTURE
from streamderain.inference.create import create_backend
from streamderain.jobs import plan_jobs
from streamderain.readers.scene import SceneReader
from streamderain.report import JobReport
from streamderain.segments.carrying import carried_states
from streamderain.segments.job import SegmentedJob
from streamderain.segments.work import Settings, clean_segment
from tools.ending import ends_in_a_sentence
from tools.files import write_whole

__all__ = ["Figure", "Parts", "main", "markdown", "measure", "measure_parts"]


@dataclass(frozen=True)
class Figure:
    """What so many workers did.

    Attributes:
        workers: how many.
        frames_per_second: median over the rounds, from the first worker's coming to the last
            video's end.
        ratio: to one worker in the same round, median.
        starting_s: until the first worker came, median.
    """

    workers: int
    frames_per_second: float
    ratio: float
    starting_s: float


@dataclass(frozen=True)
class Parts:
    """What the rest of the work takes, frames a second each, of one process.

    Attributes:
        look: a scout looks through a recording.
        join: cleaned segments are put together.
    """

    look: float
    join: float


class _Watch:
    """Takes the time; a progress and an account."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.came: float | None = None
        self.frames = 0

    def tell(self, overview: Overview) -> None:
        if self.came is None:
            self.came = time.monotonic() - overview.seconds

    def note(self, sentence: str) -> None:
        print(f"note: {sentence}", file=sys.stderr)

    def start(self, name: str, frames: int | None) -> None:
        pass

    def update(self, frames: int) -> None:
        pass

    def end(self, report: JobReport) -> None:
        if not report.ok:
            raise UsageError(f"{report.input}: {report.error or report.problems}")
        self.frames += report.frames_out


def measure(
    clips: Sequence[Path], counts: Sequence[int], rounds: int, network: NetworkChoice,
    options: CleanOptions, cpus: float,
) -> list[Figure]:  # fmt: skip
    """Clean recordings by so many workers each, in turn.

    Args:
        clips: recordings, which stay.
        counts: of workers; one is always among them.
        rounds: how often.
        network, options: what and how.
        cpus: of each worker.
    """
    counts = sorted({1, *counts})
    rates: dict[int, list[float]] = {count: [] for count in counts}
    starts: dict[int, list[float]] = {count: [] for count in counts}
    jobs, refused = plan_jobs([str(clip) for clip in clips], None)
    for _ in range(rounds):
        for count in counts:
            watch = _Watch()
            cluster = ClusterOptions(
                "local", workers=count, cpus=cpus, connect={"num_cpus": max(counts) * cpus}
            )
            clean_on_cluster(jobs, refused, network, options, cluster, watch, watch)
            ended = time.monotonic()
            came = watch.came or ended
            rates[count].append(watch.frames / (ended - came))
            starts[count].append(came - watch.began)
    return [
        Figure(
            workers=count, frames_per_second=statistics.median(rates[count]),
            ratio=statistics.median(x / one for x, one in zip(rates[count], rates[1], strict=True)),
            starting_s=statistics.median(starts[count]),
        )
        for count in counts
    ]  # fmt: skip


def measure_parts(clip: Path, network: NetworkChoice, options: CleanOptions) -> Parts:
    """Look through a recording and join it, in this process.

    Args:
        clip: a recording of more than one segment.
        network, options: what and how.

    Raises:
        UsageError: it is too short to be cut.
    """
    settings = Settings(preset=options.preset, always=options.always)
    with (
        create_backend(network.model, network.device) as backend,
        SegmentedJob(
            clip, clip.with_name("joined.mp4"), backend, settings,
            segment_s=options.segment_s, overwrite=True,
        ) as job,
    ):  # fmt: skip
        spans = [segment.span for segment in job.segments]
        ahead = sum(span.frames for span in spans[:-1])
        if not ahead:
            raise UsageError("a recording of one segment is not looked through; make it longer")
        began = time.monotonic()
        for _ in carried_states(
            clip, spans, settings.lookahead, gated=True, remembers=backend.inputs != PICTURE
        ):
            pass
        looked = time.monotonic()
        for segment in job.pending():
            job.accept(clean_segment(job.carrying(segment), backend))
        cleaned = time.monotonic()
        job.join()
        joined = time.monotonic()
    return Parts(ahead / (looked - began), (ahead + spans[-1].frames) / (joined - cleaned))


def markdown(figures: Sequence[Figure]) -> str:
    """Return the figures as a table."""
    lines = [
        "| workers | frames/s | to one worker | until the first came |",
        "| ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {x.workers} | {x.frames_per_second:.1f} | {x.ratio:.2f} | {x.starting_s:.0f} s |"
        for x in figures
    ]
    return "\n".join(lines) + "\n"


def make_clips(folder: Path, count: int, size: tuple[int, int], seconds: float) -> list[Path]:
    """Draw rainy recordings, 25 frames a second."""
    first = folder / "0.mp4"
    height, width = size
    with (
        SceneReader(height=height, width=width, seconds=seconds) as reader,
        av.open(str(first), "w") as output,
    ):
        # A key frame a second, as cameras have them, so that it can be cut anywhere.
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "25"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for frame in reader:
            picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    rest = [folder / f"{number}.mp4" for number in range(1, count)]
    for path in rest:
        path.write_bytes(first.read_bytes())
    return [first, *rest]


@ends_in_a_sentence
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_cluster", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[2], metavar="N")
    parser.add_argument("--ray-cpus", type=float, default=1, help="of each worker")
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20, help="of each video")
    parser.add_argument("--segment", type=float, default=4, help="seconds of a segment")
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--model", default="video-xs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help="looks ahead and joins as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args(arguments)
    options = CleanOptions(preset="superfast", segment_s=asked.segment, overwrite=True, always=True)
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder), asked.videos, parse_size(asked.size), asked.seconds)
        figures = measure(
            clips, asked.workers, asked.rounds, NetworkChoice(model=asked.model), options,
            asked.ray_cpus,
        )  # fmt: skip
        parts = (
            measure_parts(clips[0], NetworkChoice(model=asked.model), options)
            if asked.parts
            else None
        )
    if asked.json:
        told = {"workers": [asdict(figure) for figure in figures]}
        text = json.dumps(told | ({"parts": asdict(parts)} if parts else {}), indent=1)
        write_whole(asked.json, f"{text}\n".encode())
    print(markdown(figures), end="")
    if parts:
        print(f"\na scout looks through {parts.look:.0f} frames/s, {parts.join:,.0f} are joined")
    return 0


if __name__ == "__main__":
    sys.exit(main())
