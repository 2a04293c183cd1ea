"""What is wrong by a snapshot, and what mends it: pure, so that made-up machines can be judged."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator

from streamderain.defaults import LIVE_MODEL, PICTURE_MODEL, VIDEO_MODEL
from streamderain.doctor.clashes import judge_packages
from streamderain.doctor.mending import Finding, advice, install, note, problem, reinstall
from streamderain.doctor.running import judge_runtimes
from streamderain.doctor.snapshot import Snapshot

__all__ = ["can_work", "judge"]

ORDER = {"problem": 0, "advice": 1, "note": 2}


def judge(snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return what there is to say about a machine, the worst first."""
    found = [
        *judge_packages(snapshot),
        *_models(snapshot),
        *judge_runtimes(snapshot),
        *_encoders(snapshot),
        *_processor(snapshot),
    ]
    if can_work(found):
        found += _defaults(snapshot)
    return tuple(sorted(found, key=lambda finding: ORDER[finding.severity]))


def can_work(findings: list[Finding] | tuple[Finding, ...]) -> bool:
    """Say whether nothing has to be mended first."""
    return all(finding.severity != "problem" for finding in findings)


def _models(snapshot: Snapshot) -> Iterator[Finding]:
    here, models = snapshot.installation, snapshot.models
    if models.trouble:
        if all(library.fate == "works" for library in snapshot.libraries):
            yield problem("networks", f"Nobody could look at the networks ({models.trouble}).")
        return
    wrong = [model for model in models.files if model.trouble]
    if not wrong and models.files:
        return
    if here.checkout is not None and here.git:
        files = " ".join(shlex.quote(f"models/{model.name}.*") for model in wrong) or "models"
        command = f"git -C {shlex.quote(here.checkout)} checkout -- {files}"
    else:
        command = install(here, here.origin, options="--force-reinstall --no-deps")
    needed = {VIDEO_MODEL, PICTURE_MODEL, LIVE_MODEL}.intersection(model.name for model in wrong)
    make = problem if needed or not models.files else advice
    reasons = "; ".join(model.trouble for model in wrong) or f"no network is in {models.folder}"
    yield make("networks", f"Networks are not as they were shipped: {reasons}.", command)


def _encoders(snapshot: Snapshot) -> Iterator[Finding]:
    av = next((library for library in snapshot.libraries if library.module == "av"), None)
    if av is None or av.fate != "works":
        return
    for codec in dict.fromkeys(encoder.codec for encoder in snapshot.encoders):
        tried = [encoder for encoder in snapshot.encoders if encoder.codec == codec]
        if any(encoder.fate == "works" for encoder in tried):
            for encoder in tried:
                if encoder.hardware and encoder.fate != "works":
                    yield note(
                        encoder.name,
                        f"The GPU doesn't encode {codec} ({encoder.trouble}); the CPU does.",
                    )
            continue
        why = tried[-1].trouble
        make = problem if codec == "h264" else note
        yield make(
            codec,
            f"This FFmpeg can't write {codec} ({why}).",
            reinstall(snapshot, av, "--only-binary av"),
        )


def _processor(snapshot: Snapshot) -> Iterator[Finding]:
    machine = snapshot.machine
    if machine.cpu_limit is not None and machine.cpu_limit < machine.usable_cores:
        count = max(1, math.floor(machine.cpu_limit))
        cores = "0" if count == 1 else f"0-{count - 1}"
        whole = machine.usable_cores == machine.cores
        yield advice(
            "cores",
            f"This container sees {machine.usable_cores} cores and gets the time of "
            f"{machine.cpu_limit:g}: more threads than that wait for one another. Give it whole "
            "cores, or streamderain as many:",
            f"taskset -c {cores} streamderain run CONFIG" if whole else None,
        )
    if "AVX2" in machine.lacking:
        yield note("processor", "This processor has no AVX2; networks are slow on it.")


def _defaults(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what doesn't run although nothing else is wrong."""
    for trial in snapshot.defaults:
        if trial.fate != "works":
            yield problem(
                "networks",
                f"{trial.model}, which is taken for {trial.uses}, can't be run ({trial.trouble}).",
            )
