"""What ``bench`` prints for people: a table on a terminal, or Markdown. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table

from streamderain.bench.results import (
    Against,
    Arithmetic,
    BenchResult,
    Cameras,
    Dry,
    Machine,
    Ratio,
)
from streamderain.tables import as_text, columns

__all__ = ["as_markdown", "as_plain_text"]

Row = tuple[str, ...]

STAGE_HEAD = ("stage", "frames/s", "Mpx/s", "p50 ms", "p95 ms", "CPU ms/frame", "of the slowest")


def as_plain_text(result: BenchResult) -> str:
    """Return a measurement for a terminal."""
    return _wrapped(_told(result, _table))


def as_markdown(result: BenchResult) -> str:
    """Return a measurement as Markdown."""
    return _told(result, _markdown_table)


def _told(result: BenchResult, table: Callable[[Row, Sequence[Row]], str]) -> str:
    head = (
        f"{result.model} on {result.device} ({result.runtime}), {result.width}x{result.height}, "
        f"{_coded(result.bitrate)}{_count(result.batch, 'frame')} a batch"
    )
    parts = [f"{head}\n{_machine(result.machine)}", table(STAGE_HEAD, _stages(result))]
    parts += [_together(result)]
    if result.arithmetic is not None:
        parts.append(_arithmetic(result.arithmetic))
    if result.dry is not None:
        parts.append(_dry(result.dry))
    if result.cameras is not None:
        parts.append(_cameras(result.cameras))
    if result.against is not None:
        parts += [_rival(result, result.against), table(*_pairs(result, result.against))]
    return "\n\n".join(parts)


def _coded(bitrate: int | None) -> str:
    return "" if bitrate is None else f"from {bitrate / 1e6:.3g} Mbit/s, "


def _wrapped(text: str) -> str:
    """Return a text with its sentences as wide as the terminal; tables are that already."""
    width = columns()
    return "\n".join(
        textwrap.fill(line, width) if len(line) > width else line for line in text.splitlines()
    )


def _stages(result: BenchResult) -> list[Row]:
    rows: list[Row] = [
        (
            stage.name if stage.frames_a_call == 1 else f"{stage.name} (a batch)",
            _short(stage.frames_per_second), _short(stage.megapixels_per_second),
            f"{stage.p50_ms:.2f}", f"{stage.p95_ms:.2f}", f"{1000 * stage.cpu_s_per_frame:.2f}",
            f"{stage.of_the_slowest:.0%}",
        )
        for stage in result.stages
    ]  # fmt: skip
    all_cpu = sum(stage.cpu_s_per_frame for stage in result.stages)
    whole = result.together
    rows.append(("all, one by one", "", "", "", "", f"{1000 * all_cpu:.2f}", ""))
    rows.append(
        (
            "together", _short(whole.frames_per_second), _short(whole.megapixels_per_second),
            f"{whole.p50_ms:.2f}", f"{whole.p95_ms:.2f}", f"{1000 * whole.cpu_s_per_frame:.2f}", "",
        )
    )  # fmt: skip
    return rows


def _together(result: BenchResult) -> str:
    whole = result.together
    cores = _count(result.machine.cores, "core")
    lines = [
        f"Together, as clean runs them ({_count(whole.frames, 'frame')}, {whole.derained:.0%} "
        f"derained): {whole.slowest_share:.0%} of the slowest stage alone; "
        f"overlap {whole.overlap:.2f}, where 1 is what the slowest stage and {cores} allow.",
        f"Overhead of Python: {1000 * whole.overhead_cpu_s_per_frame:.2f} ms of CPU a frame, "
        "together less all stages one by one.",
    ]
    return "\n".join(lines)


def _arithmetic(found: Arithmetic) -> str:
    reach = ", ".join(
        f"{rate.precision} {rate.macs_per_second / 1e9:,.0f}" for rate in found.convolutions
    )
    lines = [f"Convolutions reach, in 10^9 multiplications a second: {reach or 'not measured'}."]
    if found.macs_per_second is not None:
        of_it = (
            f", {found.fraction:.0%} of what {found.precision} convolutions reach"
            if found.fraction is not None
            else ""
        )
        lines.append(
            f"The network needs {found.macs_per_pixel:,.0f} a pixel and does "
            f"{found.macs_per_second / 1e9:,.1f}{of_it}."
        )
    return "\n".join(lines)


def _dry(found: Dry) -> str:
    return (
        f"Dry video: {_short(found.frames_per_second)} frames/s, {found.dry:.0%} passed as they "
        f"came; it takes {_ratio(found.ratio)} times as long as decoding and encoding alone, and "
        f"{_ratio(found.cpu_ratio)} times the CPU."
    )


def _cameras(found: Cameras) -> str:
    what = _count(found.cameras, "camera")
    lines = [
        f"{what} at {found.asked_per_second:g} frames/s each, as run serves them: "
        f"{found.arrived_per_second:.1f} frames/s came, {found.cleaned_per_second:.1f} were "
        f"cleaned in time ({found.cleaned:.0%}); {found.cores_busy:.2f} cores busy."
    ]
    if found.p50_ms is not None:
        lines.append(
            f"From arrival to result: p50 {found.p50_ms:.1f} ms, p95 {found.p95_ms:.1f} ms."
        )
    if found.mean_batch is not None:
        lines.append(
            f"Batches: {found.mean_batch:.2f} frames on average, {found.largest_batch} at most."
        )
    if found.memory_mb_per_camera is not None:
        lines.append(
            f"Memory: {found.memory_mb_per_camera:.1f} MB a camera; {found.peak_memory_mb:,.0f} MB "
            "the whole process at most."
        )
    return "\n".join(lines)


def _rival(result: BenchResult, other: Against) -> str:
    return (
        f"Against {other.model} on {other.device} ({other.runtime}), in turns. Above 1, "
        f"{result.model} ({result.runtime}) is the faster one."
    )


def _pairs(result: BenchResult, other: Against) -> tuple[Row, list[Row]]:
    head = ("", "frames/s", "against", "median", "least", "most", "pairs")
    rows: list[Row] = [
        (
            name, *(_short(rate) for rate in rates), f"{ratio.median:.3g}", f"{ratio.least:.3g}",
            f"{ratio.most:.3g}", " ".join(f"{pair:.3g}" for pair in ratio.pairs),
        )
        for name, rates, ratio in (
            ("infer", other.infer_frames_per_second, other.infer),
            ("together", other.together_frames_per_second, other.together),
        )
    ]  # fmt: skip
    return head, rows


def _machine(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    load = "" if machine.load is None else f", load {machine.load:.1f} before"
    return f"{machine.cpu}, {_count(machine.cores, 'core')}{load}\n{versions}"


def _table(head: Row, rows: Sequence[Row]) -> str:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(head):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return as_text(table)


def _markdown_table(head: Row, rows: Sequence[Row]) -> str:
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _ratio(ratio: Ratio) -> str:
    return f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"


def _short(rate: float) -> str:
    """Return a rate as a whole number, a small one in three figures."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:#.3g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
