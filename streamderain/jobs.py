"""What ``clean`` is asked to do, worked out before anything is opened: pure decisions on paths."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePath

from streamderain.errors import InputError, UsageError
from streamderain.storage.address import WEB, Place, RemotePath, is_address, place_of, shown

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
        sources: one place, or all pictures of a folder; none for raw frames on standard input.
        targets: one for each picture; one for a video; none for raw frames on standard output.
        into_folder: the targets' folders were named as folders, and are made where missing; a
            file named by the user goes only into a folder that is there.
    """

    kind: JobKind
    sources: tuple[Place, ...]
    targets: tuple[Place, ...]
    into_folder: bool = False

    @property
    def name(self) -> str:
        """What messages call the job."""
        if not self.sources:
            return "standard input"
        return str(self.sources[0] if len(self.sources) == 1 else self.sources[0].parent)

    @property
    def is_remote(self) -> bool:
        """Whether anything of it is in a store."""
        return any(isinstance(place, RemotePath) for place in (*self.sources, *self.targets))

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
        inputs: files, folders, addresses of them, patterns of addresses, or ``-``.
        output: file, folder, address or ``-``; None puts ``NAME.<word>.EXT`` beside each input.
        word: what marks the results, from :func:`mark_of`; results of earlier runs are not taken
            for sources when a folder is searched.

    Returns:
        The jobs in order, and what can't be one: inputs, and folders that can't be looked into.

    Raises:
        UsageError: inputs and output don't go together, or an address isn't one that can be taken.
    """
    if output is not None and is_address(output):
        check_target(place_of(output))
    if PIPE in inputs:
        if len(inputs) > 1:
            raise UsageError("'-' reads raw frames from standard input and can't be one of several")
        return [_raw_job(output)], []
    jobs: list[Job] = []
    refused: list[Refused] = []
    into_folder = output is not None and output != PIPE and _means_folder(inputs, output)
    for name in inputs:
        try:
            for place in _places(name):
                if _is_folder(place):
                    found, closed = _folder_jobs(place, output, word, several=len(inputs) > 1)
                    jobs += found
                    refused += closed
                else:
                    jobs.append(_file_job(place, output, word, into_folder=into_folder))
        except InputError as error:
            refused.append(Refused(shown(name), error))
    if output == PIPE and (len(jobs) != 1 or jobs[0].kind is not JobKind.VIDEO):
        raise UsageError("'-o -' writes raw frames and takes exactly one video, or '-', as input")
    _refuse_collisions(jobs)
    return jobs, refused


def check_target(place: Place) -> None:
    """Refuse a place that nothing can be written to.

    Raises:
        UsageError: it is a web address.
    """
    if isinstance(place, RemotePath) and place.scheme in WEB:
        raise UsageError(
            f"{place} is a web address, which can be read but not written; name another place "
            "with -o"
        )


def _places(name: str) -> list[Place]:
    """Return what an input means: one place, or those that match a pattern in a store."""
    place = place_of(name)
    if not isinstance(place, RemotePath) or not place.has_magic:
        return [place]
    from streamderain.storage.files import Store

    store = Store(place)
    if store.info(place) is not None:  # a file may be called so
        return [place]
    found = store.matching(place)
    if not found:
        raise InputError(f"nothing matches {place}; check the address")
    return sorted(found, key=_natural)


def _is_folder(place: Place) -> bool:
    if isinstance(place, Path):
        return place.is_dir()
    if not place.path:
        return True
    from streamderain.storage.files import Store

    return Store(place).is_folder(place)


def _exists(place: Place) -> bool:
    if isinstance(place, Path):
        return place.exists()
    from streamderain.storage.files import Store

    return Store(place).info(place) is not None


def _raw_job(output: str | None) -> Job:
    if output is None or output == PIPE:
        return Job(JobKind.RAW, (), ())
    target = place_of(output)
    if _is_folder(target) or not target.suffix:
        raise UsageError(
            f"frames from standard input need a file to go to, not {target}; say -o NAME.mp4"
        )
    return Job(JobKind.RAW, (), (target,))


def _means_folder(inputs: Sequence[str], output: str) -> bool:
    place = place_of(output)
    if output.endswith("/") or _is_folder(place):
        return True
    if len(inputs) > 1 or _may_be_several(inputs[0]):
        if place.suffix.lower() in VIDEO_SUFFIXES | PICTURE_SUFFIXES:
            raise UsageError(f"several inputs can't go into the one file {place}; name a folder")
        return True
    return False


def _may_be_several(name: str) -> bool:
    """Whether an input is a pattern; what can't be an input at all is refused in its turn."""
    if not is_address(name):
        return False
    try:
        place = place_of(name)
    except InputError:
        return False
    return isinstance(place, RemotePath) and place.has_magic


def _file_job(path: Place, output: str | None, word: str, *, into_folder: bool) -> Job:
    if output is None:
        check_target(path)
    if not _exists(path):
        raise InputError(f"{path} does not exist; check the name")
    picture = path.suffix.lower() in PICTURE_SUFFIXES
    kind = JobKind.PICTURES if picture else JobKind.VIDEO
    if output == PIPE:
        return Job(kind, (path,), ())
    if output is None:
        target = path.with_name(_marked(path, word, picture=picture))
    elif into_folder:
        target = place_of(output) / _name_in_folder(path, word, picture=picture)
    else:
        target = place_of(output)
    return Job(kind, (path,), (target,), into_folder=into_folder)


def _marked(path: Place, word: str, *, picture: bool) -> str:
    return f"{path.stem}.{word}{Path(_same_name(path, picture=picture)).suffix}"


def _name_in_folder(path: Place, word: str, *, picture: bool) -> str:
    """Return a result's name in a folder of its own: the source's, if it takes its place."""
    if word == CLEAN:
        return _same_name(path, picture=picture)
    return _marked(path, word, picture=picture)


def _same_name(path: Place, *, picture: bool) -> str:
    if picture or path.suffix.lower() in KEPT_CONTAINERS:
        return path.name
    return f"{path.stem}.mkv"


def _folder_jobs(
    folder: Place, output: str | None, word: str, *, several: bool
) -> tuple[list[Job], list[Refused]]:
    """Clean everything below a folder into a folder of the same shape."""
    if output == PIPE:
        raise UsageError(f"{folder} is a folder and can't go to standard output; name a folder")
    name = folder.resolve().name if isinstance(folder, Path) else folder.name or folder.authority
    if output is not None:
        out = place_of(output)
    elif isinstance(folder, RemotePath) and not folder.path:
        raise UsageError(f"{folder} is a whole bucket, beside which nothing can be; say -o PLACE")
    else:
        out = folder.with_name(f"{name}.{word}")
    if several and output is not None:
        out = out / name
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

    def target_of(path: Place, *, picture: bool) -> Place:
        name = _name_in_folder(path, word, picture=picture)
        return out / _way(path, folder).with_name(name)

    jobs = [
        Job(JobKind.VIDEO, (path,), (target_of(path, picture=False),), into_folder=True)
        for path in videos
    ]
    for paths in pictures:
        targets = tuple(target_of(path, picture=True) for path in paths)
        jobs.append(Job(JobKind.PICTURES, tuple(paths), targets, into_folder=True))
    return jobs, refused


def _way(path: Place, folder: Place) -> PurePath:
    """Return the way from a folder to what is below it."""
    if isinstance(path, RemotePath):
        assert isinstance(folder, RemotePath)
        return path.relative_to(folder)
    assert isinstance(folder, Path)
    return path.relative_to(folder)


def _search(folder: Place, out: Place) -> tuple[list[Place], list[list[Place]], list[OSError]]:
    """Find videos, pictures grouped by the folder they are in, and folders that are closed."""
    closed: list[OSError] = []
    found: list[Place] = []
    if isinstance(folder, RemotePath):
        from streamderain.storage.files import Store

        found += [p for p in Store(folder).below(folder) if out == folder or not p.is_below(out)]
    else:
        found += _files_below(folder, out, closed)
    videos: list[Place] = []
    pictures: dict[Place, list[Place]] = {}
    named = {(path.parent, path.stem) for path in found if _is_video(path)}
    for path in sorted(found, key=_natural):
        parts = _way(path, folder).parts
        if any(part.startswith(".") for part in parts) or _is_result(path, named):
            continue
        if _is_video(path):
            videos.append(path)
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            pictures.setdefault(path.parent, []).append(path)
    return videos, list(pictures.values()), closed


def _files_below(folder: Path, out: Place, closed: list[OSError]) -> Iterator[Path]:
    skipped = out.resolve() if isinstance(out, Path) and out.resolve() != folder.resolve() else None
    for where, _, names in os.walk(folder, onerror=closed.append):
        for name in names:
            path = Path(where) / name
            if path.is_file() and skipped not in path.resolve().parents:
                yield path


def _is_video(path: Place) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_result(path: Place, named: Collection[tuple[Place, str]]) -> bool:
    """Whether an earlier run wrote this; of a ``NAME.sample`` only ``NAME`` beside it tells.

    Args:
        path: what was found.
        named: folder and stem of every video that was found.
    """
    stem, dot, word = path.stem.rpartition(".")
    if word == SAMPLE:
        return _is_video(path) and (path.parent, stem) in named
    return bool(dot) and word in (CLEAN, COMPARE)


def _natural(path: Place) -> list[tuple[int, int | str]]:
    """Order frame9.png before frame10.png."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    seen: dict[Place, Place] = {}
    for job in jobs:
        for source, target in zip(job.sources, job.targets, strict=False):
            other = seen.setdefault(_absolute(target), source)
            if other is not source and _absolute(other) == _absolute(source):
                raise UsageError(f"{source} is named twice; name it once")
            if other is not source:
                raise UsageError(
                    f"{other} and {source} would both be written to {target}; rename one of them"
                )


def _absolute(place: Place) -> Place:
    return place.absolute() if isinstance(place, Path) else place
