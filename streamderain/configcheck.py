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

__all__ = ["exposed", "find_problems", "missing_sources"]

LOOPBACK = ("127.", "localhost", "[::1]")


def find_problems(config: RunConfig) -> list[str]:
    """Return what would keep ``run`` from starting, a sentence each."""
    return list(dict.fromkeys(_problems(config)))


def missing_sources(config: RunConfig) -> list[str]:
    """Return a sentence for each camera whose file or device isn't there; the others go live."""
    notes = []
    for name in config.cameras:
        source = config.camera(name).parsed
        is_path = source.kind in (SourceKind.FILE, SourceKind.WEBCAM)
        if is_path and not _exists(Path(source.address)):
            notes.append(
                f"cameras.{name}.source: {source.shown} does not exist or can't be looked at; the "
                "camera will be tried again and again"
            )
    return notes


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
    keys: list[Curve] = []
    for name in config.cameras:
        # What a camera doesn't say itself stands in `defaults`, and has its line there.
        own = "outputs" in config.cameras[name].model_fields_set
        for number, output in enumerate(config.camera(name).outputs):
            key = f"cameras.{name}.outputs[{number}]" if own else f"defaults.outputs[{number}]"
            if isinstance(output, RecordOutput):
                yield from _folder_problems(key, name, output)
            if isinstance(output, ZeroMqOutput) and output.curve and output.curve not in keys:
                keys.append(output.curve)
                yield from _key_problems(f"{key}.curve", name, output.curve)


def _exists(path: Path) -> bool:
    """Whether there is such a path; False where one may not even look."""
    try:
        return path.exists()
    except OSError:  # a folder of another user, mode 0700
        return False


def _folder_problems(key: str, camera: str, output: RecordOutput) -> Iterator[str]:
    folder = Path(str(output.folder).replace("{camera}", camera)).absolute()
    there = next(path for path in (folder, *folder.parents) if _exists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield f"{key}.folder: recordings of {camera} can't be written to {folder}; check {there}"


def _key_problems(key: str, camera: str, curve: Curve) -> Iterator[str]:
    try:
        read_secret_key(curve.secret_key)
    except StreamderainError as error:
        yield f"{key}.secret_key: {error} (camera {camera})"
    except OSError as error:
        said = f"{curve.secret_key} can't be read ({error.strerror}); check its mode"
        yield f"{key}.secret_key: {said} (camera {camera})"
    if curve.clients is not None and not _is_dir(curve.clients):
        yield (
            f"{key}.clients: {curve.clients} is no folder that can be read; 'streamderain keys' "
            f"makes one (camera {camera})"
        )


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
