"""How a worker gets to its files, and how what it wrote gets to whoever joins it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamderain.errors import InputError, OutputError
from streamderain.segments.manifest import SourceIdentity, identify_source
from streamderain.segments.work import Segment
from streamderain.storage.address import place_of
from streamderain.storage.copies import SourceCache, delivered
from streamderain.writers.atomic import explain_os_error

__all__ = ["at_hand", "attempt_of", "source_at_hand", "take_up"]

SHARED = "videos and targets must be on storage that all nodes share, under the same path"
SHOWS_S = 30.0
"""How long a network file system may take to show here what was written elsewhere."""


def attempt_of(segment: Segment, number: int) -> Segment:
    """Return a segment that is written to a file of its own.

    A worker that was cut off but lives may write on while another has begun anew; so no two write
    the same file. The name is one that is tidied up with the folder.

    Args:
        segment: whose target is its file in the folder of the unfinished job, path or address.
        number: that no other attempt has.
    """
    place = place_of(segment.target)
    place = place.with_name(f".{place.name}.part-{number}")
    target = str(place) if isinstance(place, Path) else place.address
    return segment.model_copy(update={"target": target})


@contextmanager
def source_at_hand(
    source: str, identity: SourceIdentity, cache: SourceCache, node: str
) -> Iterator[Path]:
    """Give the path of a recording on this machine.

    Args:
        source: path or address.
        identity: what it is known by.
        cache: of recordings that are in stores.
        node: what messages call this machine.

    Raises:
        InputError: the recording isn't here, or another one is.
    """
    with cache.local(source) as path:
        if not path.exists():
            raise InputError(f"{path} isn't on node {node}; {SHARED}")
        found = identify_source(path)
        if (found.bytes, found.parts_sha256) != (identity.bytes, identity.parts_sha256):
            raise InputError(f"{path} on node {node} is another file than here; {SHARED}")
        yield path


@contextmanager
def at_hand(
    segment: Segment, identity: SourceIdentity, cache: SourceCache, node: str
) -> Iterator[Segment]:
    """Give a segment whose source and target are paths on this machine.

    Args:
        segment: to be cleaned here.
        identity, cache, node: as :func:`source_at_hand` takes them.

    Raises:
        InputError: the recording isn't here, or another one is.
        OutputError: the target's folder isn't here, or the file can't be delivered.
    """
    with (
        source_at_hand(segment.source, identity, cache, node) as source,
        delivered(segment.target) as target,
    ):
        if not target.parent.is_dir():
            raise OutputError(f"{target.parent} isn't on node {node}; {SHARED}")
        yield segment.model_copy(update={"source": str(source), "target": str(target)})


def take_up(written: str, piece: Path, node: str, wait_s: float = SHOWS_S) -> None:
    """Put the file of an attempt in its place in the folder of the unfinished job.

    Args:
        written: path or address where the worker has put it.
        piece: its place.
        node: which wrote it, for messages.
        wait_s: for how long it may not be seen yet, seconds.

    Raises:
        OutputError: it isn't here.
        InputError: the store can't be read.
    """
    place = place_of(written)
    if not isinstance(place, Path):
        from streamderain.storage.files import Store

        Store(place).fetch(place, piece)
        Store(place).remove(place)
        return
    end = time.monotonic() + wait_s
    while True:
        try:
            place.replace(piece)
            return
        except FileNotFoundError as error:
            with suppress(OSError):
                list(place.parent.iterdir())  # some network file systems look again only then
            if time.monotonic() > end:
                raise OutputError(
                    f"what node {node} wrote for {piece} isn't here; {SHARED}"
                ) from error
            time.sleep(0.1)
        except OSError as error:
            raise explain_os_error(error, piece) from error
