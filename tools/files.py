"""Files that a maker's command writes: whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from streamderain.writers.atomic import AtomicFile, explain_os_error

__all__ = ["write_whole"]


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
