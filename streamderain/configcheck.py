"""What a valid configuration still gets wrong on this machine: missing files, open addresses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from streamderain.config import Curve, RecordOutput, RunConfig, ZeroMqOutput
from streamderain.errors import StreamderainError
from streamderain.keys import read_secret_key
from streamderain.models import resolve_model
from streamderain.service.opening import missing_packages
from streamderain.serviceconfig import is_loopback
from streamderain.source import SourceKind

__all__ = ["exposed", "find_problems"]

LOOPBACK = ("127.", "localhost", "[::1]")


def find_problems(config: RunConfig) -> list[str]:
    """Return what would make it fail or a camera stay away, a sentence each."""
    return list(dict.fromkeys(_problems(config)))


def exposed(config: RunConfig) -> list[str]:
    """Return a sentence for each address at which other machines may read without a key."""
    notes = []
    if config.service is not None and not is_loopback(config.service.host):
        notes.append(
            f"the token and the pictures travel to {config.service.address} for all to read on the "
            "way; put a proxy with TLS in front of it (docs/service.md)"
        )
    return notes + [
        f"anyone who reaches {output.address} can watch; give it keys (streamderain keys), or "
        "publish at 127.0.0.1"
        for output in _outputs(config)
        if output.curve is None
        and output.address.startswith("tcp://")
        and not output.address.removeprefix("tcp://").startswith(LOOPBACK)
    ]


def _outputs(config: RunConfig) -> list[ZeroMqOutput]:
    """Return the ZeroMQ outputs, one of each address."""
    found = {
        output.address: output
        for name in config.cameras
        for output in config.camera(name).outputs
        if isinstance(output, ZeroMqOutput)
    }
    return list(found.values())


def _problems(config: RunConfig) -> Iterator[str]:
    try:
        resolve_model(config.model)
    except StreamderainError as error:
        yield f"model: {error}"
    if config.service is not None and (missing := missing_packages()):
        yield f"service: {missing}"
    for name in config.cameras:
        source = config.camera(name).parsed
        is_path = source.kind in (SourceKind.FILE, SourceKind.WEBCAM)
        if is_path and not Path(source.address).exists():
            yield f"cameras.{name}.source: {source.shown} does not exist"
        for output in config.camera(name).outputs:
            if isinstance(output, RecordOutput):
                yield from _folder_problems(name, output)
    for output in _outputs(config):
        if output.curve is not None:
            yield from _key_problems(output.curve)


def _folder_problems(camera: str, output: RecordOutput) -> Iterator[str]:
    folder = Path(str(output.folder).replace("{camera}", camera)).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield f"cameras.{camera}.outputs: recordings can't be written to {folder}; check {there}"


def _key_problems(curve: Curve) -> Iterator[str]:
    try:
        read_secret_key(curve.secret_key)
    except StreamderainError as error:
        yield f"curve.secret_key: {error}"
    if curve.clients is not None and not curve.clients.is_dir():
        yield f"curve.clients: {curve.clients} is no folder; 'streamderain keys' makes one"
