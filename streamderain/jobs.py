"""What ``clean`` is asked to do, worked out before anything is opened: pure decisions on paths."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from streamderain.errors import InputError, UsageError
from streamderain.source import hide_secrets

__all__ = ["PIPE", "Job", "JobKind", "Refused", "mark_of", "plan_jobs"]

CLEAN, COMPARE, SAMPLE = "clean", "compare", "sample"
"""Mark results; only the first takes its source's place."""

PIPE = "-"
"""Stands for standard input or output."""

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
)
"""File name endings, lower case, that count as pictures."""

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg",
        ".flv", ".wmv", ".3gp", ".asf", ".dav", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg",
        ".mjpg", ".ogv", ".y4m",
    }
)  # fmt: skip
"""Endings that count as videos when a folder is searched; a file named by the user may have any."""

KEPT_CONTAINERS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".ts"})
"""Containers that are written as they are read; of all others the clean copy is Matroska."""


class JobKind(Enum):
    """What kind of source a job has."""

    VIDEO = "video"
    PICTURES = "pictures"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class Job:
    """One source and its target.

    Attributes:
        kind: of the source.
        sources: one path, or all pictures of a folder; none for raw frames on standard input.
        targets: one for each picture; one for a video; none for raw frames on standard output.
        into_folder: the targets' folders were named as folders, and are made where missing; a
            file named by the user goes only into a folder that is there.
    """

    kind: JobKind
    sources: tuple[Path, ...]
    targets: tuple[Path, ...]
    into_folder: bool = False

    @property
    def name(self) -> str:
        """What messages call the job."""
        if not self.sources:
            return "standard input"
        return str(self.sources[0] if len(self.sources) == 1 else self.sources[0].parent)

    @property
    def target_name(self) -> str:
        """What messages call the target."""
        if not self.targets:
            return "standard output"
        return str(self.targets[0] if len(self.targets) == 1 else self.targets[0].parent)


@dataclass(frozen=True, slots=True)
class Refused:
    """An input that can't be a job, and why."""

    input: str
    error: InputError


def mark_of(*, compare: bool, sample: bool) -> str:
    """Return the word that marks results: ``clean``, or what else they are.

    A comparison and a piece have words of their own, so that neither stands in the way of the
    whole clean recording.
    """
    return ".".join([SAMPLE] * sample + [COMPARE] * compare) or CLEAN


def plan_jobs(
    inputs: Sequence[str], output: str | None, *, word: str = CLEAN
) -> tuple[list[Job], list[Refused]]:
    """Work out the jobs that a command line asks for.

    Args:
        inputs: files, folders, or ``-``.
        output: file, folder or ``-``; None puts ``NAME.<word>.EXT`` beside each input.
        word: what marks the results, from :func:`mark_of`; results of earlier runs are not taken
            for sources when a folder is searched.

    Returns:
        The jobs in order, and what can't be one: inputs, and folders that can't be looked into.

    Raises:
        UsageError: inputs and output don't go together.
    """
    if PIPE in inputs:
        if len(inputs) > 1:
            raise UsageError("'-' reads raw frames from standard input and can't be one of several")
        return [_raw_job(output)], []
    jobs: list[Job] = []
    refused: list[Refused] = []
    into_folder = output is not None and output != PIPE and _means_folder(inputs, output)
    for name in inputs:
        path = Path(name)
        try:
            if "://" in name:
                raise InputError(
                    f"{hide_secrets(name)} is an address; clean takes files: run cleans cameras "
                    "live, and ffmpeg can save a stream to a file first"
                )
            if path.is_dir():
                found, closed = _folder_jobs(path, output, word, several=len(inputs) > 1)
                jobs += found
                refused += closed
            else:
                jobs.append(_file_job(path, output, word, into_folder=into_folder))
        except InputError as error:
            refused.append(Refused(hide_secrets(name), error))
    if output == PIPE and (len(jobs) != 1 or jobs[0].kind is not JobKind.VIDEO):
        raise UsageError("'-o -' writes raw frames and takes exactly one video, or '-', as input")
    _refuse_collisions(jobs)
    return jobs, refused


def _raw_job(output: str | None) -> Job:
    if output is None or output == PIPE:
        return Job(JobKind.RAW, (), ())
    target = Path(output)
    if target.is_dir() or not target.suffix:
        raise UsageError(
            f"frames from standard input need a file to go to, not {output}; say -o NAME.mp4"
        )
    return Job(JobKind.RAW, (), (target,))


def _means_folder(inputs: Sequence[str], output: str) -> bool:
    if Path(output).is_dir() or output.endswith("/"):
        return True
    if len(inputs) > 1:
        if Path(output).suffix.lower() in VIDEO_SUFFIXES | PICTURE_SUFFIXES:
            raise UsageError(f"several inputs can't go into the one file {output}; name a folder")
        return True
    return False


def _file_job(path: Path, output: str | None, word: str, *, into_folder: bool) -> Job:
    if not path.exists():
        raise InputError(f"{path} does not exist; check the name")
    picture = path.suffix.lower() in PICTURE_SUFFIXES
    kind = JobKind.PICTURES if picture else JobKind.VIDEO
    if output == PIPE:
        return Job(kind, (path,), ())
    if output is None:
        target = path.with_name(_marked(path, word, picture=picture))
    elif into_folder:
        target = Path(output) / _name_in_folder(path, word, picture=picture)
    else:
        target = Path(output)
    return Job(kind, (path,), (target,), into_folder=into_folder)


def _marked(path: Path, word: str, *, picture: bool) -> str:
    return f"{path.stem}.{word}{Path(_same_name(path, picture=picture)).suffix}"


def _name_in_folder(path: Path, word: str, *, picture: bool) -> str:
    """Return a result's name in a folder of its own: the source's, if it takes its place."""
    if word == CLEAN:
        return _same_name(path, picture=picture)
    return _marked(path, word, picture=picture)


def _same_name(path: Path, *, picture: bool) -> str:
    if picture or path.suffix.lower() in KEPT_CONTAINERS:
        return path.name
    return f"{path.stem}.mkv"


def _folder_jobs(
    folder: Path, output: str | None, word: str, *, several: bool
) -> tuple[list[Job], list[Refused]]:
    """Clean everything below a folder into a folder of the same shape."""
    if output == PIPE:
        raise UsageError(f"{folder} is a folder and can't go to standard output; name a folder")
    out = folder.with_name(f"{folder.resolve().name}.{word}") if output is None else Path(output)
    if several and output is not None:
        out = out / folder.resolve().name
    if output is not None and out.suffix.lower() in VIDEO_SUFFIXES | PICTURE_SUFFIXES:
        raise UsageError(
            f"{folder} is a folder and can't go into the one file {out}; name a folder"
        )
    videos, pictures, closed = _search(folder, out)
    refused = [
        Refused(
            str(error.filename),
            InputError(
                f"the folder {error.filename} can't be looked into ({error.strerror}); check its "
                "mode"
            ),
        )
        for error in closed
    ]
    if not videos and not pictures:
        if refused:
            return [], refused
        raise InputError(f"{folder} holds no videos and no pictures; check the folder's name")
    jobs = [
        Job(
            JobKind.VIDEO,
            (path,),
            (out / path.relative_to(folder).with_name(_name_in_folder(path, word, picture=False)),),
            into_folder=True,
        )
        for path in videos
    ]
    for paths in pictures:
        targets = tuple(
            out / path.relative_to(folder).with_name(_name_in_folder(path, word, picture=True))
            for path in paths
        )
        jobs.append(Job(JobKind.PICTURES, tuple(paths), targets, into_folder=True))
    return jobs, refused


def _search(folder: Path, out: Path) -> tuple[list[Path], list[list[Path]], list[OSError]]:
    """Find videos, pictures grouped by the folder they are in, and folders that are closed."""
    closed: list[OSError] = []
    found = [
        Path(where) / name
        for where, _, names in os.walk(folder, onerror=closed.append)
        for name in names
    ]
    videos: list[Path] = []
    pictures: dict[Path, list[Path]] = {}
    named = {(path.parent, path.stem) for path in found if _is_video(path)}
    skipped = out.resolve()
    for path in sorted(found, key=_natural):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or _is_result(path, named):
            continue
        if skipped != folder.resolve() and skipped in path.resolve().parents:
            continue
        if _is_video(path):
            videos.append(path)
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            pictures.setdefault(path.parent, []).append(path)
    return videos, list(pictures.values()), closed


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_result(path: Path, named: Collection[tuple[Path, str]]) -> bool:
    """Whether an earlier run wrote this; of a ``NAME.sample`` only ``NAME`` beside it tells.

    Args:
        path: what was found.
        named: folder and stem of every video that was found.
    """
    stem, dot, word = path.stem.rpartition(".")
    if word == SAMPLE:
        return _is_video(path) and (path.parent, stem) in named
    return bool(dot) and word in (CLEAN, COMPARE)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """Order frame9.png before frame10.png."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        for source, target in zip(job.sources, job.targets, strict=False):
            other = seen.setdefault(target.absolute(), source)
            if other is not source and other.absolute() == source.absolute():
                raise UsageError(f"{source} is named twice; name it once")
            if other is not source:
                raise UsageError(
                    f"{other} and {source} would both be written to {target}; rename one of them"
                )
