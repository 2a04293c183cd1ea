"""Files of the makers' commands: pictures of a folder, and results that are whole or not there."""

from __future__ import annotations

from pathlib import Path

from streamderain.jobs import PICTURE_SUFFIXES
from streamderain.writers.atomic import AtomicFile, explain_os_error

__all__ = ["pictures_in", "write_whole"]


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder, not of those below it, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)


def write_whole(target: Path, data: bytes) -> None:
    """Write ``data`` beside ``target`` and put it in place when it is whole; replace what is there.

    Raises:
        OutputError: the target can't be written.
    """
    file = AtomicFile(target, overwrite=True)
    try:
        try:
            file.path.write_bytes(data)
        except OSError as error:
            raise explain_os_error(error, target) from error
        file.commit()
    finally:
        file.discard()
