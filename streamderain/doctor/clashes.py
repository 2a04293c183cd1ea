"""Judges packages: what is missing or broken, what overwrites what, versions that don't fit."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from streamderain.doctor.mending import (
    Finding,
    advice,
    asked,
    install,
    note,
    own,
    problem,
    reinstall,
    replace,
)
from streamderain.doctor.packages import ONNX_RUNTIMES, OPENCVS, fits, satisfiable
from streamderain.doctor.snapshot import Library, Need, Snapshot

__all__ = ["broken", "judge_packages", "runtime_packages"]

OTHER_NUMPY = (
    "compiled using NumPy 1", "numpy.core.multiarray", "_ARRAY_API", "numpy.dtype size changed",
    "against ABI version",
)  # fmt: skip
"""How libraries say that they were built for another NumPy."""

WINDOW_LIBRARIES = ("libGL", "libgthread", "libglib", "libSM", "libXext", "libxcb")
"""What OpenCV with windows wants, and servers don't have."""

MAKERS = {"test", "dev"}
"""Extras that nobody needs to clean a video."""


def judge_packages(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what is wrong with the packages; of runtimes, only that they overwrite each other."""
    yield from _installation(snapshot)
    yield from _libraries(snapshot)
    yield from _onnx_runtimes(snapshot)
    yield from _opencvs(snapshot)
    yield from _numpy(snapshot)
    yield from _ranges(snapshot)
    yield from _doubled(snapshot)


def _installation(snapshot: Snapshot) -> Iterator[Finding]:
    here = snapshot.installation
    again = install(here, here.checkout or here.origin)
    if here.metadata_version is None:
        yield note("streamderain", "It runs from a checkout without being installed.", again)
    elif here.metadata_version != here.version:
        yield advice(
            "streamderain",
            f"Version {here.version} runs, but what pip installed is {here.metadata_version}: "
            "what it needs may have changed.",
            again,
        )
    if not snapshot.ranges_known:
        yield note(
            "packaging",
            "Nobody compared the versions of packages: that takes the package packaging.",
            install(here, "packaging"),
        )


def _libraries(snapshot: Snapshot) -> Iterator[Finding]:
    numpy_works = all(lib.fate == "works" for lib in snapshot.libraries if lib.module == "numpy")
    for library in snapshot.libraries:
        if library.fate == "works":
            continue
        if library.module == "cv2" and (not numpy_works or len(_there(snapshot, OPENCVS)) > 1):
            continue  # its only trouble may be NumPy's; and of a clash is told below
        if library.fate == "missing" and library.package not in snapshot.packages:
            command = install(snapshot.installation, asked(snapshot, library.package))
            yield problem(library.package, f"{library.name} isn't installed.", command)
        else:
            yield problem(library.package, *broken(snapshot, library))


def broken(snapshot: Snapshot, library: Library) -> tuple[str, str | None]:
    """Return the sentence about an installed library that can't be loaded, and what mends it."""
    here, name, trouble = snapshot.installation, library.name, library.trouble
    if library.hidden_by is not None:
        return (
            f"{library.hidden_by} is imported instead of {name}, and is something else; rename it, "
            "or take its folder off Python's path.",
            None,
        )
    if library.fate == "missing":
        return f"{name} is installed, but its files are gone.", reinstall(snapshot, library)
    if library.module != "numpy" and any(words in trouble for words in OTHER_NUMPY):
        version = snapshot.packages.get("numpy", "that is installed")
        newer = install(here, library.package, asked(snapshot, "numpy"), options="--upgrade")
        return f"{name} was built for another NumPy than {version}.", newer
    if library.module == "cv2" and any(words in trouble for words in WINDOW_LIBRARIES):
        return (
            f"{name} can't be loaded ({trouble}): {library.package} wants a desktop.",
            replace(here, _there(snapshot, OPENCVS), asked(snapshot, OPENCVS[0])),
        )
    if "SIGILL" in trouble:
        source = f"--no-binary {shlex.quote(library.package)}"
        return (
            f"{name} is built with instructions that this processor lacks.",
            reinstall(snapshot, library, source) if library.module == "numpy" else None,
        )
    how = {
        "crashes": "crashes when it is loaded",
        "hangs": "doesn't finish loading",
        "fails": "is installed, but can't be loaded",
    }
    return (
        f"{name} {how[library.fate]} ({trouble}).",
        reinstall(snapshot, library),
    )


def runtime_packages(snapshot: Snapshot) -> list[str]:
    """Return the installed packages that are ONNX Runtime; more than one is a clash."""
    return _there(snapshot, ONNX_RUNTIMES)


def _onnx_runtimes(snapshot: Snapshot) -> Iterator[Finding]:
    there = runtime_packages(snapshot)
    if len(there) < 2:
        return
    here, has_gpu = snapshot.installation, bool(snapshot.machine.gpus)
    on_cuda = snapshot.trial("onnx", "cuda")
    cuda_works = on_cuda is not None and on_cuda.fate == "works"
    fine = all(trial.fate == "works" for trial in snapshot.defaults) and (cuda_works or not has_gpu)
    make, rest = (advice, "") if fine else (problem, ", and what runs now doesn't work")
    if not fine and has_gpu:
        rest = ", and what runs now doesn't use the GPU"
    yield make(
        "onnxruntime",
        f"{_listed(there)} overwrite each other's files: which one runs is chance{rest}.",
        replace(here, there, own(here, "cuda" if has_gpu else "cpu")),
    )


def _opencvs(snapshot: Snapshot) -> Iterator[Finding]:
    there = _there(snapshot, OPENCVS)
    wanted = asked(snapshot, OPENCVS[0])
    works = all(lib.fate == "works" for lib in snapshot.libraries if lib.module == "cv2")
    if len(there) > 1:
        make = advice if works else problem
        yield make(
            "opencv",
            f"{_listed(there)} overwrite each other's files: which one runs is chance.",
            replace(snapshot.installation, there, wanted),
        )
    elif there and there[0] != OPENCVS[0] and works:
        yield note(
            "opencv",
            f"{there[0]} stands in for {OPENCVS[0]}; that works while its window libraries are "
            "there.",
            replace(snapshot.installation, there, wanted),
        )


def _numpy(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what asks for another NumPy than there is."""
    version = snapshot.packages.get("numpy")
    asking = [need for need in snapshot.needs if need.name == "numpy" and not need.extras]
    unmet = [need for need in asking if version and not fits(version, need.specifier)]
    if not unmet:
        return
    here, owners = snapshot.installation, [need.owner for need in unmet]
    said = " and ".join(f"{need.owner} needs {need}" for need in unmet)
    if satisfiable([need.specifier for need in asking]):
        text = f"NumPy {version} is installed, but {said}."
        command = install(here, f"numpy{_merged(asking)}")
    else:
        rest = " and ".join(f"{need.owner} {need}" for need in asking if need not in unmet)
        text = f"NumPy {version} is installed, but {said}; {rest}: no version is right for all."
        old = [need.owner for need in asking if need.owner != "streamderain"]
        old = [owner for owner in old if owner in owners] or old
        command = install(here, *old, asked(snapshot, "numpy"), options="--upgrade")
    parts = (*snapshot.libraries, *snapshot.runtimes)
    works = all(part.fate == "works" for part in parts if part.package in owners)
    make = advice if works and "streamderain" not in owners else problem
    yield make("numpy", text, command)


def _merged(needs: list[Need]) -> str:
    bounds = (bound for need in needs for bound in need.specifier.split(","))
    return ",".join(dict.fromkeys(filter(None, bounds)))


def _ranges(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield installed packages whose version streamderain isn't made for."""
    said: set[str] = set()
    for need in snapshot.needs:
        version = snapshot.packages.get(need.name)
        if need.owner != "streamderain" or need.name in ("numpy", *said) or version is None:
            continue
        if fits(version, need.specifier):
            continue
        said.add(need.name)
        make = problem if not need.extras else note if MAKERS.issuperset(need.extras) else advice
        yield make(
            need.name,
            f"{need.name} {version} is installed; streamderain is made for {need}.",
            install(snapshot.installation, str(need)),
        )


def _doubled(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield packages that a broken update left twice, of those that matter here."""
    matter = {need.name for need in snapshot.needs} | {need.owner for need in snapshot.needs}
    for name, versions in snapshot.doubled.items():
        if name in matter:
            removed = f"{snapshot.installation.uninstall} {name}"
            yield advice(
                name,
                f"{name} is there more than once ({', '.join(versions)}), as a broken update "
                "leaves it.",
                " && ".join(
                    [removed] * len(versions)
                    + [install(snapshot.installation, asked(snapshot, name))]
                ),
            )


def _there(snapshot: Snapshot, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in snapshot.packages]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
