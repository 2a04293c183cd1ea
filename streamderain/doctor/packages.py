"""Looks at what is installed: the metadata of packages, and how pip is called here."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import streamderain
from streamderain.doctor.snapshot import Installation, Need

__all__ = [
    "ONNX_RUNTIMES",
    "OPENCVS",
    "canonical",
    "file_that_hides",
    "find_installation",
    "find_needs",
    "find_packages",
    "fits",
    "own_lines",
    "read_needs",
    "satisfiable",
]

NAME = "streamderain"

ONNX_RUNTIMES = (
    "onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino",
    "onnxruntime-rocm", "onnxruntime-migraphx", "onnxruntime-silicon", "onnxruntime-training",
    "ort-nightly", "ort-nightly-gpu",
)  # fmt: skip
"""Packages that write into the same folder ``onnxruntime``."""

OPENCVS = (
    "opencv-python-headless", "opencv-python", "opencv-contrib-python-headless",
    "opencv-contrib-python",
)  # fmt: skip
"""Packages that write into the same folder ``cv2``; the first is ours."""

OWNERS = (
    *ONNX_RUNTIMES, "openvino", "torch", "onnx", "onnxscript", "matplotlib", "ml-dtypes", *OPENCVS,
)  # fmt: skip
"""Packages around streamderain that have needs of their own, of NumPy above all."""


def canonical(name: str) -> str:
    """Return a package's name as all write it: lower case, with hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_packages() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the version of each installed package, and those that one folder holds twice.

    Where several folders hold a package, the first one on Python's path counts.
    """
    versions: dict[str, str] = {}
    in_folders: dict[tuple[str, str], list[str]] = {}
    for found in metadata.distributions():
        name, version = _name_and_version(found)
        if name is None or version is None:
            continue
        versions.setdefault(name, version)
        in_folders.setdefault((str(found.locate_file("")), name), []).append(version)
    doubled = {
        name: tuple(sorted(there)) for (_, name), there in in_folders.items() if len(set(there)) > 1
    }
    return versions, doubled


def _name_and_version(found: metadata.Distribution) -> tuple[str | None, str | None]:
    """Return both, None where what was left of a package doesn't say."""
    try:
        name, version = found.metadata["Name"], found.version
    except (KeyError, OSError, UnicodeDecodeError):
        return None, None
    return (canonical(name) if name else None), version


def file_that_hides(module: str, package: str) -> str | None:
    """Return the file that is imported instead of an installed package's module, None if none is.

    A ``numpy.py`` in the folder where Python was started is one.
    """
    try:
        found = importlib.util.find_spec(module)
        folder = Path(str(metadata.distribution(package).locate_file(""))).resolve()
    except (ImportError, ValueError):  # the package's absence is an ImportError too
        return None
    if found is None or found.origin is None:
        return None
    return None if Path(found.origin).resolve().is_relative_to(folder) else found.origin


def find_needs() -> tuple[tuple[Need, ...], bool]:
    """Return what matters of what packages ask for, and whether that could be read.

    That is what streamderain asks for, what the packages around it ask of NumPy, and what ONNX
    Runtime asks of CUDA. Without ``packaging`` to read it with, it is nothing, and False.
    """
    if _packaging("requirements") is None:
        return (), False
    found = list(read_needs(NAME, *own_lines(_checkout())))
    for owner in OWNERS:
        try:
            there = metadata.distribution(owner)
        except metadata.PackageNotFoundError:
            continue
        needs = read_needs(
            owner, there.requires or (), there.metadata.get_all("Provides-Extra") or ()
        )
        found += [need for need in needs if need.name == "numpy" or owner == "onnxruntime-gpu"]
    return tuple(found), True


def own_lines(checkout: Path | None) -> tuple[list[str], list[str]]:
    """Return what streamderain asks for, as metadata has it, and its extras.

    Args:
        checkout: whose ``pyproject.toml`` says so where it isn't installed.
    """
    try:
        own = metadata.distribution(NAME)
        return own.requires or [], own.metadata.get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        pass
    if checkout is None:
        return [], []
    try:
        project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))["project"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return [], []
    optional: dict[str, list[str]] = project.get("optional-dependencies", {})
    lines = list(project.get("dependencies", []))
    for extra, asked in optional.items():
        lines += [f"{line}; extra == '{extra}'" for line in asked]
    return lines, list(optional)


def read_needs(owner: str, lines: Iterable[str], extras: Sequence[str]) -> list[Need]:
    """Return the lines of a package's metadata that apply to this system and Python.

    Args:
        owner: the package.
        lines: its ``Requires-Dist``; those that can't be read are left out.
        extras: its ``Provides-Extra``.
    """
    requirements = _packaging("requirements")
    found: list[Need] = []
    if requirements is None:
        return found
    for line in lines:
        try:
            asked: Any = requirements.Requirement(line)
        except ValueError:
            continue
        always = asked.marker is None or asked.marker.evaluate({"extra": ""})
        wanting = () if always else tuple(
            extra for extra in extras if asked.marker.evaluate({"extra": extra})
        )  # fmt: skip
        if always or wanting:
            name, with_extras = canonical(asked.name), tuple(sorted(asked.extras))
            found.append(Need(owner, name, str(asked.specifier), wanting, with_extras))
    return found


def fits(version: str, specifier: str) -> bool:
    """Say whether a version will do; one that nobody can read will."""
    specifiers, versions = _packaging("specifiers"), _packaging("version")
    if specifiers is None or versions is None:
        return True
    try:
        return bool(specifiers.SpecifierSet(specifier).contains(version, prereleases=True))
    except ValueError:
        return True


def satisfiable(specifiers: Sequence[str]) -> bool:
    """Say whether there can be a version for all of them: one of their bounds, or just above."""
    bounds = re.findall(r"\d+(?:\.\d+)*", ",".join(specifiers))
    together = ",".join(filter(None, specifiers))
    candidates = ["0", *bounds, *(f"{bound}.1" for bound in bounds)]
    return any(fits(candidate, together) for candidate in candidates)


def find_installation() -> Installation:
    """Return how streamderain came here."""
    checkout = _checkout()
    try:
        own = metadata.distribution(NAME)
        version: str | None = own.version
        origin = _folder_of(own.read_text("direct_url.json")) or NAME
    except metadata.PackageNotFoundError:
        version, origin = None, str(checkout or NAME)
    install, uninstall = _commands()
    return Installation(
        version=streamderain.__version__,
        metadata_version=version,
        checkout=None if checkout is None else str(checkout),
        git=checkout is not None and (checkout / ".git").exists(),
        origin=origin,
        python=sys.version.split()[0],
        executable=sys.executable,
        install=install,
        uninstall=uninstall,
    )


def _checkout() -> Path | None:
    """Return the folder around the package where it is a checkout."""
    around = Path(streamderain.__file__).resolve().parents[1]
    return around if (around / "pyproject.toml").is_file() else None


def _folder_of(direct_url: str | None) -> str | None:
    """Return the folder or file that pip installed, None where it wasn't one of this machine.

    Other addresses may hold a password, and are never shown.
    """
    try:
        parts = urlsplit(json.loads(direct_url or "{}").get("url", ""))
    except ValueError:
        return None
    return unquote(parts.path) if parts.scheme == "file" else None


def _commands() -> tuple[str, str]:
    """Return how packages are installed and removed in the environment that runs."""
    python = shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is None:
        if shutil.which("uv"):
            where = f"--python {python}"
            return f"uv pip install {where}", f"uv pip uninstall {where}"
        pip = f"{python} -m ensurepip && {python} -m pip"
        return f"{pip} install", f"{pip} uninstall -y"
    found = shutil.which("pip")
    if found is not None and Path(found).parent == Path(sys.executable).parent:
        return "pip install", "pip uninstall -y"
    return f"{python} -m pip install", f"{python} -m pip uninstall -y"


def _packaging(part: str) -> ModuleType | None:
    """Return a module of ``packaging``, or of the copy that pip has, or None."""
    for whose in ("packaging", "pip._vendor.packaging"):
        try:
            return importlib.import_module(f"{whose}.{part}")
        except ImportError:
            continue
    return None
