"""Commands for recordings: ``clean`` and ``demo``."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamderain.commands.options import (
    BackendOption,
    DeviceOption,
    ModelOption,
    PrecisionOption,
    progress_of_work,
    tell,
)
from streamderain.defaults import VIDEO_MODEL
from streamderain.errors import UsageError

if TYPE_CHECKING:
    from streamderain.clean import CleanOptions
    from streamderain.jobs import Job

__all__ = ["clean", "demo"]

SHORTEST_S = 0.5
"""Of a segment: shorter ones would be made of what is around them."""


def clean(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Videos, pictures, folders or addresses (s3://...) of them, or - for raw frames.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File, folder or address, or - for raw frames. Default: NAME.clean.EXT.",
        ),
    ] = None,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "auto",
    codec: Annotated[
        str, typer.Option(metavar="h264|hevc|av1|ffv1", help="Video codec; ffv1 is lossless.")
    ] = "h264",
    crf: Annotated[
        int | None,
        typer.Option(metavar="N", help="Quality: 0 is best, 51 worst (av1: 63); h264: 18."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Speed of the encoder, by its names.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Frames a run of the network.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Left half as it came, right half derained.")
    ] = False,
    always: Annotated[
        bool, typer.Option("--always", help="Derain frames on which it doesn't rain as well.")
    ] = False,
    lookahead: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=4,
            metavar="N",
            show_default="4; 0 from pipe to pipe",
            help="Frames after each that a video network looks at; 0 as it does live.",
        ),
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only a piece from the start, e.g. 5s, as NAME.sample.EXT."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace targets.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what was stopped; leave what is done.")
    ] = False,
    segment: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            show_default="3m, from 10 minutes on",
            help="Cut at a key frame after so long; each piece is kept when it is done.",
        ),
    ] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Write beside each video what it was made of.")
    ] = False,
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY", help="Sign the evidence with an Ed25519 key (PEM)."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jsonl", help="Append a line of JSON for each source."),
    ] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="Write a summary in Markdown.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Of raw frames on standard input.")
    ] = None,
    fps: Annotated[
        str | None, typer.Option(metavar="RATE", help="Of raw frames, e.g. 25 or 30000/1001.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print a report on standard output.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Spread videos over a Ray cluster: auto, local, or HOST:PORT of its head.",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", show_default="as many as have room", help="How many with --ray."
        ),
    ] = None,
    ray_cpus: Annotated[
        float | None,
        typer.Option(min=0, metavar="N", show_default="2", help="Cores of each worker."),
    ] = None,
    ray_gpus: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="N", show_default="0; 0.25 with --device cuda", help="GPUs of each."
        ),
    ] = None,
) -> None:
    """Clean videos and pictures: same length, same sound, same timestamps, no rain."""
    from streamderain.hardware import leave_cores_to_stages

    leave_cores_to_stages()
    from streamderain.arguments import parse_duration, parse_rate, parse_size
    from streamderain.batch import RecordedProgress, check_summary, write_summary
    from streamderain.clean import CleanOptions, clean_all, open_networks
    from streamderain.cluster.cleaner import NetworkChoice
    from streamderain.cluster.offline import ClusterOptions, clean_on_cluster
    from streamderain.cluster.telling import Teller, teller
    from streamderain.jobs import PIPE, JobKind, mark_of, plan_jobs

    options = CleanOptions(
        codec=codec, crf=crf, preset=preset, batch=batch, compare=compare, overwrite=overwrite,
        always=always, lookahead=lookahead, resume=resume,
        segment_s=None if segment is None else parse_duration(segment),
        evidence=evidence or sign is not None, signing_key=sign,
        sample_s=None if sample is None else parse_duration(sample),
        size=None if size is None else parse_size(size),
        rate=None if fps is None else parse_rate(fps),
    )  # fmt: skip
    _refuse_addresses({"--report": report, "--summary": summary, "--sign": sign})
    if (size or fps) and inputs != [PIPE]:
        raise UsageError("--size and --fps describe raw frames; they go with the input '-' only")
    word = mark_of(compare=compare, sample=sample is not None)
    jobs, refused = plan_jobs(inputs, output, word=word)
    still = next((job.name for job in jobs if job.kind is JobKind.PICTURES), None)
    if sample and still:
        raise UsageError(f"--sample takes a piece of a video; {still} is a picture or holds some")
    if any(not job.targets for job in jobs) and sys.stdout.isatty():
        raise UsageError(
            "raw frames would go to this terminal; send them on with |, or say -o NAME.mp4"
        )
    if json and any(not job.targets for job in jobs):
        raise UsageError("--json and '-o -' both want standard output; choose one")
    _check_long_work(options, jobs)
    if summary is not None:
        check_summary(summary)
    if ray is None and (workers, ray_cpus, ray_gpus) != (None, None, None):
        raise UsageError("--workers, --ray-cpus and --ray-gpus go with --ray ADDRESS")
    drawn = progress_of_work() if ray is None else teller()
    progress = RecordedProgress(drawn, report)
    began = time.monotonic()
    try:
        if isinstance(drawn, Teller):
            assert ray is not None
            network = NetworkChoice(
                model=model or VIDEO_MODEL, device=device, backend=backend, precision=precision
            )
            where = ClusterOptions(ray, workers=workers, cpus=ray_cpus, gpus=ray_gpus)
            told = clean_on_cluster(jobs, refused, network, options, where, progress, drawn)
        else:
            kinds = {job.kind for job in jobs}
            with open_networks(
                kinds, model, device=device, backend=backend, precision=precision
            ) as networks:
                tell(dict.fromkeys(note for network in networks.values() for note in network.notes))
                told = clean_all(jobs, refused, networks, options, progress)
    finally:
        drawn.close()
        if summary is not None and progress.reports:
            # On a cluster videos are cleaned at the same time.
            passed = None if ray is None else time.monotonic() - began
            write_summary(summary, progress.reports, passed)
    if json:
        typer.echo(told.model_dump_json(indent=2))
    raise typer.Exit(told.exit_code)


def _refuse_addresses(options: Mapping[str, Path | None]) -> None:
    """Refuse an address where only a file of this machine will do."""
    for option, path in options.items():
        # A path has lost one of the two slashes.
        if path is not None and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix()):
            raise UsageError(f"{option} takes a file on this machine, not an address; name one")


def _check_long_work(options: CleanOptions, jobs: Sequence[Job]) -> None:
    """Refuse what only whole videos in files can have, before hours of work."""
    from streamderain.jobs import JobKind

    asked = {"--resume": options.resume, "--segment": options.segment_s is not None}
    cut = next((name for name, given in asked.items() if given), None)
    if cut and options.sample_s is not None:
        raise UsageError(f"--sample takes a piece of a video, which is too short for {cut}")
    if cut and any(not job.sources or not job.targets for job in jobs):
        raise UsageError(f"{cut} goes with files, not with raw frames from or to a pipe")
    if options.segment_s is not None and options.segment_s < SHORTEST_S:
        raise UsageError(f"a segment is {SHORTEST_S:g} s long or longer")
    if not options.evidence:
        return
    odd = next((j.name for j in jobs if j.kind is not JobKind.VIDEO or not j.targets), None)
    if odd is not None:
        raise UsageError(f"--evidence is written for videos in files; {odd} isn't one")
    if options.signing_key is not None:
        from streamderain.signing import load_private_key

        load_private_key(options.signing_key)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the files go.")
    ] = Path("demo"),
    model: ModelOption = None,
    device: DeviceOption = "auto",
    seconds: Annotated[float, typer.Option(min=0.2, max=600, metavar="N", help="Length.")] = 8.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Clean a rainy test scene: no camera, no file, no network needed."""
    from streamderain.hardware import leave_cores_to_stages

    leave_cores_to_stages()
    from streamderain.demo import run_demo
    from streamderain.show import show_demo

    model, progress = model or VIDEO_MODEL, progress_of_work()
    try:
        result = run_demo(output, model, device, seconds, progress, overwrite=overwrite)
    finally:
        progress.close()
    tell(result.notes)
    typer.echo(show_demo(result))
