"""A finding, and the commands that mend things."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from streamderain.doctor.snapshot import Installation, Library, Snapshot

__all__ = [
    "Finding",
    "Severity",
    "advice",
    "install",
    "note",
    "own",
    "problem",
    "reinstall",
    "replace",
]

Severity = Literal["problem", "advice", "note"]
"""What has to be mended first; what works, but could be better or safer; what is good to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about this machine.

    Attributes:
        severity: how bad it is.
        about: the package or part of the machine.
        text: a sentence or two.
        command: what mends it, for a shell; None where no command does, or nothing is to be done.
    """

    severity: Severity
    about: str
    text: str
    command: str | None = None


def problem(about: str, text: str, command: str | None = None) -> Finding:
    """Return what has to be mended first."""
    return Finding("problem", about, text, command)


def advice(about: str, text: str, command: str | None = None) -> Finding:
    """Return what works, but could be better or safer."""
    return Finding("advice", about, text, command)


def note(about: str, text: str, command: str | None = None) -> Finding:
    """Return what is good to know."""
    return Finding("note", about, text, command)


def own(installation: Installation, extra: str) -> str:
    """Return what pip calls streamderain with an extra.

    Where it is installed, its name is enough and is looked up nowhere.
    """
    if installation.metadata_version is not None:
        return f"streamderain[{extra}]"
    return f"{installation.origin}[{extra}]"


def install(installation: Installation, *wanted: str, options: str = "") -> str:
    """Return the command that installs packages; one that is called streamderain as it came."""
    quoted = [
        f"-e {shlex.quote(name)}" if name.startswith("/") and installation.checkout else
        shlex.quote(name)
        for name in wanted
    ]  # fmt: skip
    return " ".join(filter(None, [installation.install, options, *quoted]))


def replace(installation: Installation, old: Iterable[str], *wanted: str) -> str:
    """Return the command that removes packages, all their files, and installs others."""
    names = " ".join(map(shlex.quote, old))
    return f"{installation.uninstall} {names} && {install(installation, *wanted)}"


def reinstall(snapshot: Snapshot, library: Library, options: str = "") -> str:
    """Return the command that installs the package of a library again, and nothing else."""
    options = " ".join(filter(None, ["--force-reinstall --no-deps", options]))
    return install(snapshot.installation, asked(snapshot, library.package), options=options)


def asked(snapshot: Snapshot, package: str) -> str:
    """Return what streamderain asks for of a package, its name where it asks for nothing."""
    needs = (need for need in snapshot.needs if need.owner == "streamderain")
    return next((str(need) for need in needs if need.name == package), package)
