"""A job with its files on this machine, wherever they come from and go to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from streamderain.errors import InputError, OutputError, StreamderainError
from streamderain.evidence import evidence_path
from streamderain.jobs import Job, JobKind
from streamderain.segments.manifest import StateFolder
from streamderain.segments.work import Segment
from streamderain.storage.address import Place, RemotePath
from streamderain.storage.copies import SourceCache, check_room, work_folder
from streamderain.storage.errors import explain, no_room_here
from streamderain.storage.files import Store
from streamderain.storage.state import StoredState
from streamderain.writers.atomic import NO_ROOM

__all__ = ["StagedJob", "is_there", "staged"]


_FULL = re.compile(
    "(.*/streamderain-[^/]+/work/.*)".join(map(re.escape, NO_ROOM.split("{}"))), re.DOTALL
)
"""What is said where one of our copies has found no room."""


@dataclass(frozen=True)
class StagedJob:
    """A job whose sources and targets are paths.

    Attributes:
        job: as it was planned.
        sources, targets: of it, on this machine.
        state: where what is done of a video is kept; None for the folder beside the target.
        overwrite: replace targets that exist.
    """

    job: Job
    sources: tuple[Path, ...]
    targets: tuple[Path, ...]
    state: StoredState | None = None
    overwrite: bool = False

    @property
    def folder(self) -> StateFolder:
        """Of the unfinished job, if there is one, of a video with a target."""
        return self.state or StateFolder(self.targets[0])

    def told(self, text: str) -> str:
        """Return a sentence that names the places, not our copies of them.

        Where no room is left for a copy, it says so: it isn't the store that is full.
        """
        if self.job.is_remote:
            text = _FULL.sub(lambda found: str(no_room_here(found[1])), text)
        for place, path in self._copies():
            text = text.replace(str(path), str(place))
        return text

    def elsewhere(self, segment: Segment) -> Segment:
        """Return a segment with places that other machines know; of paths these.

        For :meth:`~streamderain.storage.copies.SourceCache.local` and
        :func:`~streamderain.storage.copies.delivered` there. Addresses hold their secrets.
        """
        source, target = self.job.sources[0], segment.target
        if isinstance(source, RemotePath):
            segment = segment.model_copy(update={"source": source.address})
        if self.state is not None:
            place = self.state.address / Path(target).name
            segment = segment.model_copy(update={"target": place.address})
        return segment

    def deliver(self) -> None:
        """Put the targets that belong into a store there, with what stands beside them.

        Raises:
            OutputError: one exists, or can't be written.
        """
        if self.state is not None and not self.state.was_delivered:
            self.state.deliver_whole()
        for place, path in zip(self.job.targets, self.targets, strict=True):
            if not isinstance(place, RemotePath):
                continue
            if self.state is None:
                Store(place).deliver(path, place, overwrite=self.overwrite)
            evidence = evidence_path(path)
            if evidence.exists():
                Store(place).deliver(evidence, place.with_name(evidence.name), overwrite=True)

    def _copies(self) -> Iterator[tuple[RemotePath, Path]]:
        pairs = [
            *zip(self.job.sources, self.sources, strict=True),
            *zip(self.job.targets, self.targets, strict=True),
        ]
        for place, path in pairs:
            if isinstance(place, RemotePath):
                yield place, path
        for place, path in pairs:  # what names their folders only
            if isinstance(place, RemotePath):
                yield place.parent, path.parent


@contextmanager
def staged(job: Job, *, overwrite: bool = False, resume: bool = False) -> Iterator[StagedJob]:
    """Give a job with its sources fetched; what goes to stores is to be delivered by it.

    Copies are removed at the end. The target of a video in a store is claimed until then, so that
    two jobs on it refuse each other.

    Args:
        job: what to do.
        overwrite: replace targets that exist.
        resume: a target may be there whose job only has to be tidied up.

    Raises:
        InputError: a source is missing or can't be read.
        OutputError: a target exists, can't be written or another process writes it; or there is no
            room for the copies.
        UsageError: a package is missing.
    """
    if not job.is_remote:
        local = cast(tuple[Path, ...], job.sources), cast(tuple[Path, ...], job.targets)
        yield StagedJob(job, *local)
        return
    with ExitStack() as stack:
        folder = stack.enter_context(work_folder())
        targets = _local_targets(job, folder / "out")
        state = None
        if job.kind is not JobKind.PICTURES and job.targets:
            (place,), (target,) = job.targets, targets
            if isinstance(place, RemotePath):
                state = StoredState(place, target, overwrite=overwrite)
        # What can be known is asked before gigabytes are fetched.
        _refuse_targets(job, overwrite=overwrite or (resume and state is not None and state.begun))
        if state is not None:
            stack.callback(state.unlock)
            state.lock()
        sources = tuple(_fetched(job, folder / "in", stack))
        found = StagedJob(job, sources, targets, state, overwrite)
        try:
            yield found
        except StreamderainError as error:
            error.args = (found.told(str(error)),)
            raise


def is_there(job: Job) -> bool:
    """Say whether a job is done: its targets are there, and no unfinished job for them.

    Raises:
        InputError: a store can't be asked.
    """
    return all(map(_is_there, job.targets))


def _is_there(place: Place) -> bool:
    if isinstance(place, Path):
        return place.exists() and StateFolder(place).tidy_up()
    store = Store(place)
    begun = place.with_name(f"{place.name}.streamderain") / "manifest.json"
    return store.info(place) is not None and store.info(begun) is None


def _refuse_targets(job: Job, *, overwrite: bool) -> None:
    for place in job.targets:
        if not isinstance(place, RemotePath):
            continue
        if place in job.sources:
            raise OutputError(
                f"{place} is the source itself, which is never written to; name another target"
            )
        if not overwrite and Store(place).info(place) is not None:
            raise explain(FileExistsError(), place, writing=True)


def _local_targets(job: Job, folder: Path) -> tuple[Path, ...]:
    targets = []
    for place in job.targets:
        if isinstance(place, RemotePath):
            folder.mkdir(exist_ok=True)
            targets.append(folder / _name_of(place))
        else:
            targets.append(place)
    return tuple(targets)


def _fetched(job: Job, folder: Path, stack: ExitStack) -> Iterator[Path]:
    if job.kind is JobKind.VIDEO:
        cache = stack.enter_context(SourceCache())
        for place in job.sources:
            if isinstance(place, RemotePath):
                _name_of(place)
            yield stack.enter_context(cache.local(place))
        return
    for place in job.sources:
        if isinstance(place, Path):
            yield place
            continue
        folder.mkdir(exist_ok=True)
        path = folder / _name_of(place)
        store = Store(place)
        info = store.info(place)
        check_room(folder, (info.bytes or 0) if info else 0, place)
        store.fetch(place, path)
        yield path


def _name_of(place: RemotePath) -> str:
    if not place.name or "\0" in place.name:
        raise InputError(f"{place} has no name that a file could have; name another one")
    return place.name
