"""What the doctor says: for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from rich import box
from rich.table import Table

from streamderain.doctor.examine import examine
from streamderain.doctor.judge import can_work, judge
from streamderain.doctor.mending import Finding
from streamderain.doctor.snapshot import BACKENDS, Library, Snapshot, Trial
from streamderain.tables import as_text, columns

__all__ = ["Report", "consult"]

HEADS = {
    "problem": "This has to be mended first:",
    "advice": "This works, but can be better:",
    "note": "Good to know:",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything, as ``--json`` prints it.

    Attributes:
        ok: streamderain can work here.
        findings: what there is to say, the worst first.
        snapshot: what was found.
    """

    ok: bool
    findings: tuple[Finding, ...]
    snapshot: Snapshot

    @classmethod
    def of(cls, snapshot: Snapshot) -> Report:
        """Return what there is to say about a machine."""
        findings = judge(snapshot)
        return cls(can_work(findings), findings, snapshot)

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        return 0 if self.ok else 1

    def as_json(self) -> str:
        """Return all of it as JSON."""
        return json.dumps(asdict(self), indent=2)

    def as_text(self) -> str:
        """Return the machine, what is wrong, and what ``clean`` and ``run`` take."""
        snapshot = self.snapshot
        blocks = [
            _rows(_machine(snapshot)),
            _rows(_software(snapshot)),
            as_text(_runtimes(snapshot)),
            *_findings(self.findings),
            *([as_text(_defaults(snapshot))] if snapshot.defaults else []),
            "streamderain can work here."
            if self.ok
            else "Something has to be mended first: it is above.",
        ]
        return "\n\n".join(blocks)


def consult(tell: Callable[[str], None] = lambda _: None) -> Report:
    """Look at this machine and judge it; takes some seconds.

    Args:
        tell: is told what comes next, in a few words.
    """
    return Report.of(examine(tell))


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    """Return a line a row, long ones folded under themselves."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return as_text(table)


def _machine(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    here, machine = snapshot.installation, snapshot.machine
    where = f", from the checkout {here.checkout}" if here.checkout else ""
    yield "streamderain", f"{here.version}{where}"
    yield "Python", f"{here.python}, {here.executable}"
    yield "system", machine.system
    limit = "" if machine.cpu_limit is None else f", limited to the time of {machine.cpu_limit:g}"
    yield "processor", machine.cpu
    yield "cores", f"{machine.usable_cores} of {machine.cores} usable{limit}"
    if machine.features or machine.lacking:
        lacks = f"; no {', '.join(machine.lacking)}" if machine.lacking else ""
        yield "features", (", ".join(machine.features) or "none") + lacks
    if machine.memory is not None:
        most = machine.memory_limit
        limit = "" if most is None else f", limited to {_gib(most)}"
        yield "memory", _gib(machine.memory) + limit
    for gpu in machine.gpus:
        memory = "" if gpu.memory is None else f", {_gib(gpu.memory)}"
        able = "" if gpu.capability is None else f", compute capability {gpu.capability}"
        yield "NVIDIA GPU", f"{gpu.name}{memory}{able}, driver {gpu.driver}"
    if not machine.gpus:
        yield "NVIDIA GPU", machine.gpu_trouble or "none"


def _software(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    for library in snapshot.libraries:
        yield library.name, _library(library, snapshot)
    able = [encoder.name for encoder in snapshot.encoders if encoder.fate == "works"]
    yield "video encoders", ", ".join(able) or "none that works"
    yield "hardware codecs", _hardware(snapshot.hardware_codecs)
    yield "hardware decoding", ", ".join(snapshot.decoding) or "none that works"
    models = snapshot.models
    wrong = sum(1 for model in models.files if model.trouble)
    count = f"{len(models.files)} in {models.folder}"
    good = "each the file that its card describes" if not wrong else f"{wrong} not as shipped"
    yield "networks", f"{count}, {good}" if models.files else models.trouble or "none"


def _hardware(names: tuple[str, ...]) -> str:
    """Return what FFmpeg was built with for hardware, of the codecs that cameras and files have."""
    kinds: dict[str, list[str]] = {}
    for name in names:
        codec, _, kind = name.partition("_")
        if codec in ("h264", "hevc", "av1"):
            kinds.setdefault(kind, []).append(codec)
    built = ", ".join(f"{kind} ({', '.join(kinds[kind])})" for kind in sorted(kinds))
    return f"built into FFmpeg: {built}" if built else "none in this FFmpeg"


def _library(library: Library, snapshot: Snapshot) -> str:
    version = library.version or snapshot.packages.get(library.package, "")
    if library.fate == "missing" and not version:
        return "not installed"
    words = [version, *library.details] if library.fate == "works" else [version, "BROKEN"]
    return ", ".join(filter(None, words))


def _runtimes(snapshot: Snapshot) -> Table:
    table = _table("runtime", "installed", "runs a network")
    for library in snapshot.runtimes:
        backend = BACKENDS[library.module]
        tried = [trial for trial in snapshot.trials if trial.backend == backend]
        table.add_row(
            library.name,
            _library(library, snapshot),
            "\n".join(_tried(trial) for trial in tried)
            or ("" if library.fate == "missing" else "not tried"),
        )
    return table


def _tried(trial: Trial) -> str:
    if trial.fate == "works":
        return f"on {_device(trial.runs_on)}: yes"
    return f"on {_device(trial.device)}: {trial.fate}"


def _device(name: str) -> str:
    return {"cpu": "the CPU", "cuda": "CUDA"}.get(name, name)


def _defaults(snapshot: Snapshot) -> Table:
    table = _table("by default", "network", "on", "by")
    for trial in snapshot.defaults:
        if trial.fate == "works":
            table.add_row(trial.uses, trial.model, _device(trial.runs_on), trial.runtime)
        else:
            table.add_row(trial.uses, trial.model, "nothing", f"it {trial.fate}")
    return table


def _findings(findings: tuple[Finding, ...]) -> Iterator[str]:
    """Yield a block for each kind of finding; commands stay in one line, to be copied."""
    for severity, head in HEADS.items():
        lines = [head]
        for finding in findings:
            if finding.severity != severity:
                continue
            lines += textwrap.wrap(
                finding.text,
                columns(),
                initial_indent="- ",
                subsequent_indent="  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            if finding.command is not None:
                lines.append(f"      {finding.command}")
        if len(lines) > 1:
            yield "\n".join(lines)


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _gib(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"
