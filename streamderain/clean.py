"""The job that ``streamderain clean`` does: sources in, the same without rain out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import streamderain
from streamderain.defaults import PICTURE_MODEL, VIDEO_MODEL
from streamderain.errors import Interrupted, StreamderainError, UsageError
from streamderain.frame import SourceFormat
from streamderain.framemap import FrameMap, MappedWriter
from streamderain.inference.backend import VIDEO, Backend, planes_sha256_of
from streamderain.inference.create import create_backend
from streamderain.inference.derainer import Derainer
from streamderain.inference.gate import GateConfig
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.jobs import Job, JobKind, Refused
from streamderain.models import sha256_of
from streamderain.pipeline import Pipeline
from streamderain.report import CleanReport, ColourReport, JobReport, ModelReport
from streamderain.segments.cleaning import clean_in_segments
from streamderain.segments.job import LONG_S
from streamderain.segments.work import Settings
from streamderain.storage.staging import StagedJob, is_there, staged
from streamderain.streams import made_folders, open_reader, open_writer
from streamderain.views import split
from streamderain.writers.fanout import FanOutWriter

__all__ = [
    "CleanOptions",
    "Progress",
    "add_evidence",
    "check_lookahead",
    "clean_all",
    "clean_one",
    "colour_report",
    "model_report",
    "open_networks",
    "report_refused",
    "settings_of",
]


@dataclass(frozen=True)
class CleanOptions:
    """How to clean.

    Attributes:
        codec, crf, preset: of the video encoder; None leaves the codec's own default.
        batch: frames a run of the network, or None to choose.
        compare: write half rainy, half derained.
        sample_s: clean only so many seconds from the start.
        overwrite: replace targets that exist.
        size, rate: height, width and frames a second of raw frames on standard input.
        always: derain frames on which it doesn't rain as well.
        lookahead: frames after each that a video network looks at, 0 to 4; None for the most, but
            0 from pipe to pipe.
        resume: continue unfinished jobs, and leave targets that are there.
        segment_s: seconds after which to cut; None cuts long videos only, or those to be resumed.
        evidence: write beside each video what it was made of, and how.
        signing_key: PEM file of an Ed25519 private key to sign that with, or None.
    """

    codec: str = "h264"
    crf: int | None = None
    preset: str | None = None
    batch: int | None = None
    compare: bool = False
    sample_s: float | None = None
    overwrite: bool = False
    size: tuple[int, int] | None = None
    rate: Fraction | None = None
    always: bool = False
    lookahead: int | None = None
    resume: bool = False
    segment_s: float | None = None
    evidence: bool = False
    signing_key: Path | None = None


class Progress(Protocol):
    """Is told how the work goes on; the command line draws it."""

    def start(self, name: str, frames: int | None) -> None:
        """A job begins; ``frames`` to expect, where known."""

    def update(self, frames: int) -> None:
        """So many frames of the job are written; called from another thread."""

    def end(self, report: JobReport) -> None:
        """The job is over."""


@contextmanager
def open_networks(
    kinds: Collection[JobKind],
    model: str | None = None,
    *,
    device: str = "auto",
    backend: str = "auto",
    precision: str = "auto",
) -> Iterator[dict[JobKind, Backend]]:
    """Open the network of each kind of job: one for videos, another for pictures.

    Args:
        kinds: of the jobs there are.
        model: name or file of the one network for all of them, or None to choose.
        device, backend, precision: as :func:`~streamderain.inference.create.create_backend` takes
            them.

    Raises:
        StreamderainError: one can't be opened.
    """
    chosen = {
        kind: model or (PICTURE_MODEL if kind is JobKind.PICTURES else VIDEO_MODEL)
        for kind in kinds
    }
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(create_backend(name, device, backend, precision))
            for name in dict.fromkeys(chosen.values())
        }
        yield {kind: opened[name] for kind, name in chosen.items()}


def clean_all(
    jobs: Sequence[Job],
    refused: Sequence[Refused],
    networks: Mapping[JobKind, Backend],
    options: CleanOptions,
    progress: Progress,
) -> CleanReport:
    """Do every job, one after the other; one that fails doesn't stop the rest.

    Args:
        jobs: what to do.
        refused: what could not become jobs; they are reported first.
        networks: for each kind of job, from :func:`open_networks`.
        options: how.
        progress: is told how it goes on.

    Raises:
        UsageError: the options don't go with a job or its network.
        KeyboardInterrupt: as it came; the job it met has left nothing behind.
        Interrupted: the user stopped a job of which segments are kept.
    """
    if jobs:
        check_lookahead(options, {backend.name: backend.inputs for backend in networks.values()})
    reports = report_refused(refused, options, progress)
    for job in jobs:
        report = clean_one(job, networks[job.kind], options, progress)
        progress.end(report)
        reports.append(report)
    return CleanReport(
        version=streamderain.__version__,
        models=[model_report(backend) for backend in dict.fromkeys(networks.values())],
        jobs=reports,
        exit_code=0 if all(report.ok for report in reports) else 1,
    )


def check_lookahead(options: CleanOptions, inputs: Mapping[str, int]) -> None:
    """Refuse to look ahead for networks that don't.

    Args:
        options: how to clean.
        inputs: channels that each network takes, by name.

    Raises:
        UsageError: no network takes a prior.
    """
    if options.lookahead and all(channels != VIDEO for channels in inputs.values()):
        raise UsageError(
            f"--lookahead goes with a video network, such as {VIDEO_MODEL}; {', '.join(inputs)} "
            "looks at each frame alone"
        )


def report_refused(
    refused: Sequence[Refused], options: CleanOptions, progress: Progress
) -> list[JobReport]:
    """Report what could not become jobs."""
    reports = [
        JobReport(input=item.input, output="", sample_s=options.sample_s, error=str(item.error))
        for item in refused
    ]
    for report in reports:
        progress.end(report)
    return reports


def model_report(backend: Backend) -> ModelReport:
    """Return what a report says of a network."""
    return ModelReport(
        name=backend.name, sha256=sha256_of(backend.model), device=backend.device,
        runtime=backend.runtime, planes_sha256=planes_sha256_of(backend),
        notes=list(backend.notes),
    )  # fmt: skip


def clean_one(job: Job, backend: Backend, options: CleanOptions, progress: Progress) -> JobReport:
    """Do one job; what goes wrong with it is in the report's ``error``.

    Raises:
        UsageError: the options don't go with the job.
    """
    report = JobReport(
        input=job.name, output=job.target_name, sample_s=options.sample_s, model=backend.name
    )
    try:
        if options.resume and job.targets and is_there(job):
            report.skipped = True
            report.notes.append(
                f"{job.target_name} is there already and left as it is; --overwrite makes it anew."
            )
        else:
            if job.is_remote:
                progress.start(job.name, None)  # fetching may take its time
            with staged(job, overwrite=options.overwrite, resume=options.resume) as files:
                try:
                    frames = _run(files, backend, options, progress, report)
                    if options.evidence:
                        add_evidence(files, model_report(backend), options, report, frames)
                    files.deliver()
                finally:
                    report.notes = [files.told(note) for note in report.notes]
                    report.problems = [files.told(problem) for problem in report.problems]
    except (UsageError, Interrupted):
        raise
    except StreamderainError as error:
        report.error = str(error)
    report.ok = report.error is None and not report.problems
    return report


def _run(
    files: StagedJob, backend: Backend, options: CleanOptions, progress: Progress,
    report: JobReport,
) -> FrameMap:  # fmt: skip
    job = files.job
    with ExitStack() as stack:
        reader = stack.enter_context(
            open_reader(
                files.job.kind, files.sources, size=options.size, rate=options.rate,
                sample_s=options.sample_s,
            )
        )  # fmt: skip
        if job.into_folder:
            stack.enter_context(made_folders(path.parent for path in files.targets))
        if _in_segments(files, reader.format, options):
            reader.close()
            report.colour = colour_report(reader.format)
            return clean_in_segments(
                files.sources[0], files.targets[0], backend, settings_of(job, options), report,
                segment_s=options.segment_s, resume=options.resume, overwrite=options.overwrite,
                folder=files.state,
                start=lambda frames: progress.start(job.name, frames or None),
                update=progress.update,
            )  # fmt: skip
        target = writer = open_writer(
            files.job.kind, files.targets, reader.format, files.sources, codec=options.codec,
            crf=options.crf, preset=options.preset, overwrite=options.overwrite,
            sample_s=options.sample_s, device=backend.device,
        )  # fmt: skip
        stack.callback(target.abandon)  # does nothing once the writer has finished
        if options.compare:
            writer = FanOutWriter([(target, split)])
        mapped = writer = MappedWriter(writer)
        gate = None if options.always or job.kind is JobKind.PICTURES else GateConfig()
        derainer = Derainer(
            backend, batch=options.batch, keep_original=options.compare, gate=gate,
            lookahead=_lookahead_of(job, options), remember=job.kind is not JobKind.PICTURES,
        )  # fmt: skip
        source = reader.format
        batch = derainer.batch_for(source.height, source.width)
        report.size = (source.width, source.height)
        report.batch = batch
        report.encoder = getattr(target, "encoder", None)
        report.colour = colour_report(source)
        progress.start(job.name, source.frames)
        pipeline = Pipeline(reader, derainer, writer, batch=batch, progress=progress.update)
        try:
            result = pipeline.run()
        finally:
            report.notes = [*reader.format.notes, *writer.notes]
            report.problems = list(reader.problems)
            report.corrupt = reader.corrupt_frames
        report.frames_in, report.frames_out = result.decoded, result.written
        report.derained, report.bypassed = result.derained, dict(result.bypassed)
        report.rain = None if result.rain is None else round(result.rain, 3)
        report.seconds = round(result.seconds, 3)
        report.frames_per_second = round(result.written / max(result.seconds, 1e-9), 2)
        report.stages = {name: round(seconds, 3) for name, seconds in result.busy.items()}
        return mapped.map


def _in_segments(files: StagedJob, source: SourceFormat, options: CleanOptions) -> bool:
    """Cut what is long, what is to be continued, and what is to be cut."""
    job = files.job
    if job.kind is not JobKind.VIDEO or not job.targets or options.sample_s is not None:
        return False
    if options.resume or options.segment_s is not None:
        return True
    return (source.duration_s or 0) >= LONG_S or files.folder.begun


def settings_of(job: Job, options: CleanOptions) -> Settings:
    """Return how each segment of a job is cleaned."""
    return Settings(
        codec=options.codec, crf=options.crf, preset=options.preset, batch=options.batch,
        compare=options.compare, always=options.always, lookahead=_lookahead_of(job, options),
    )  # fmt: skip


def colour_report(source: SourceFormat) -> ColourReport:
    """Return what a report says of a source's colours."""
    colour = source.colour
    return ColourReport(
        matrix=colour.matrix, range=colour.range, primaries=colour.primaries,
        transfer=colour.transfer, assumed=list(colour.assumed),
    )  # fmt: skip


def add_evidence(
    files: StagedJob, model: ModelReport, options: CleanOptions, report: JobReport,
    frames: FrameMap, versions: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Write the evidence of a video that was just finished beside it, and into its report where.

    Args:
        files: of the job.
        model: the network that ran.
        options, report, frames: how it was cleaned, and what came of it.
        versions: of what took part, where that was on other machines.

    Raises:
        StreamderainError: a file can't be read or written.
    """
    from streamderain.evidence import state, write_evidence

    # What is signed names places that there will be tomorrow, not our copies of them.
    report.notes = [files.told(note) for note in report.notes]
    report.problems = [files.told(problem) for problem in report.problems]
    statement = state(
        files.sources[0], files.targets[0], report, model,
        settings_of(files.job, options).model_dump() | {"sample_s": options.sample_s}, frames,
        versions,
    )  # fmt: skip
    path = write_evidence(files.targets[0], statement, options.signing_key)
    report.evidence = files.told(str(path))


def _lookahead_of(job: Job, options: CleanOptions) -> int:
    """Look ahead as far as there is something to gain, unless someone waits for each frame."""
    if options.lookahead is not None:
        return options.lookahead
    return 0 if job.kind is JobKind.RAW and not job.targets else MAX_LOOKAHEAD
