"""The readers and writers of a recorded job, by what its files hold, and the folders they need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, cast

from streamderain.errors import UsageError
from streamderain.frame import SourceFormat
from streamderain.jobs import JobKind
from streamderain.readers.base import Reader
from streamderain.writers.atomic import explain_os_error
from streamderain.writers.base import Writer

__all__ = ["made_folders", "open_reader", "open_writer"]


def open_reader(
    kind: JobKind, sources: Sequence[Path], *, size: tuple[int, int] | None,
    rate: Fraction | None, sample_s: float | None,
) -> Reader:  # fmt: skip
    """Open what a job reads.

    Args:
        kind: of the job.
        sources: its files; none for raw frames, which come from standard input.
        size, rate: height, width and frames a second of raw frames.
        sample_s: read only so many seconds from the start.

    Raises:
        UsageError: pictures have no length; raw frames lack their size or rate.
        InputError: the source can't be read.
    """
    if kind is JobKind.PICTURES:
        from streamderain.readers.pictures import PictureReader

        if sample_s is not None:
            raise UsageError("--sample takes a piece of a video; pictures have no length")
        return PictureReader(sources)
    if kind is JobKind.RAW:
        from streamderain.readers.raw import RawReader

        if size is None or rate is None:
            raise UsageError(
                "raw frames on standard input need their size and rate, "
                "e.g. --size 1280x720 --fps 25"
            )
        limit = None if sample_s is None else max(1, round(sample_s * rate))
        return RawReader(_standard_stream(0, "rb"), *size, rate, limit=limit)
    from streamderain.readers.video import VideoFileReader

    return VideoFileReader(sources[0], duration=sample_s, planes=True)


def open_writer(
    kind: JobKind, targets: Sequence[Path], source: SourceFormat, sources: Sequence[Path], *,
    codec: str, crf: int | None, preset: str | None, overwrite: bool, sample_s: float | None,
    device: str,
) -> Writer:  # fmt: skip
    """Open what a job writes.

    Args:
        kind: of the job.
        targets: its files; none for raw frames on standard output.
        source: what the reader says of the frames.
        sources: of which a video's other tracks, or a picture's metadata, are taken.
        codec, crf, preset: of the video encoder; None leaves the codec's own default.
        overwrite: replace targets that exist.
        sample_s: where a sample ends, in seconds, or None.
        device: of the network: with a GPU, its encoder is tried.

    Raises:
        OutputError: a target exists or can't be written.
        UsageError: the target can't hold such a video.
    """
    if not targets:
        from streamderain.writers.raw import RawWriter

        return RawWriter(_standard_stream(1, "wb"), source)
    if kind is JobKind.PICTURES:
        from streamderain.writers.pictures import PictureWriter

        return PictureWriter(targets, sources, overwrite=overwrite)
    from streamderain.writers.video import VideoFileWriter

    return VideoFileWriter(
        targets[0], source, source=sources[0] if kind is JobKind.VIDEO else None, codec=codec,
        crf=crf, preset=preset, overwrite=overwrite, sample_end=sample_s, device=device,
    )  # fmt: skip


@contextmanager
def made_folders(folders: Iterable[Path]) -> Iterator[None]:
    """Make folders, and take back those that are still empty at the end.

    Raises:
        OutputError: one can't be made.
    """
    made: list[Path] = []
    try:
        for folder in dict.fromkeys(folders):
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            for path in reversed(missing):
                try:
                    path.mkdir(exist_ok=True)
                except OSError as error:
                    raise explain_os_error(error, path) from error
                made.append(path)
        yield
    finally:
        for path in reversed(made):
            with suppress(OSError):  # not empty: the targets are in it
                path.rmdir()


def _standard_stream(descriptor: int, mode: str) -> BinaryIO:
    """Open standard input or output unbuffered.

    Python's own buffered objects have a lock that a thread may hold for ever, and then abort the
    interpreter at its end.
    """
    return cast(BinaryIO, open(descriptor, mode, buffering=0, closefd=False))
