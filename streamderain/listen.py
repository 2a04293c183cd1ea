"""What ``streamderain listen`` shows and saves."""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from statistics import quantiles

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from streamderain.client import CameraView, ReceivedFrame, Subscriber
from streamderain.errors import InputError, UsageError
from streamderain.frame import Frame
from streamderain.writers.atomic import explain_os_error
from streamderain.writers.pictures import write_picture
from streamderain.writers.recording import SegmentRecorder

__all__ = ["FrameSaver", "listen_to", "summary", "table"]

KINDS = ("png", "jpg", "mp4")

REFRESH_S = 1.0
SILENT_S = 3.0
"""After so long without a message the user is told."""
SILENT = "note: nothing has come yet; is the address right, and is streamderain run at work there?"


class FrameSaver:
    """Keeps the frames of each camera, as pictures or as video.

    Args:
        folder: gets ``CAMERA/CAMERA-SESSION-INDEX.png``, or ``CAMERA/CAMERA-TIME.mp4``.
        kind: ``png``, ``jpg`` or ``mp4``.

    Raises:
        UsageError: the kind is not known.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        if kind not in KINDS:
            raise UsageError(f"frames are saved as {', '.join(KINDS)}, not {kind!r}")
        self._folder, self._kind = folder, kind
        self._recorders: dict[str, SegmentRecorder] = {}
        self._counts: dict[str, int] = {}

    def save(self, received: ReceivedFrame) -> None:
        """Keep a frame.

        Raises:
            OutputError: it can't be written.
        """
        header, camera = received.header, received.camera
        self._counts[camera] = self._counts.get(camera, 0) + 1
        if self._kind != "mp4":
            name = f"{camera}-{header.run[:6]}-{header.session:04d}-{header.src_index:08d}"
            folder = self._folder / camera
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise explain_os_error(error, folder) from error
            write_picture(folder / f"{name}.{self._kind}", received.pixels, overwrite=True)
            return
        if camera not in self._recorders:
            self._recorders[camera] = SegmentRecorder(self._folder / camera, camera, crf=18)
        frame = Frame(
            camera, header.session, header.src_index, header.pts, Fraction(*header.time_base),
            received.pixels, t_capture_ns=header.t_capture_ns, t_source=header.t_source,
        )  # fmt: skip
        self._recorders[camera].write(frame)

    def told(self) -> list[str]:
        """Return what was saved where, a line a camera."""
        return [
            f"{self._folder / camera}: {count} frames of {camera} as {self._kind}"
            for camera, count in sorted(self._counts.items())
        ]

    def close(self) -> None:
        """End the videos."""
        for recorder in self._recorders.values():
            recorder.close()


def listen_to(
    subscriber: Subscriber,
    *,
    save: Path | None = None,
    kind: str = "mp4",
    seconds: float | None = None,
    json: bool = False,
) -> None:
    """Show what comes, until interrupted or for so many seconds.

    On a terminal as a table that is drawn anew each second, else, or with ``json``, as a line a
    camera and second.

    Raises:
        UsageError: the kind to save is not known.
        OutputError: a frame can't be saved.
        InputError: nothing came in those seconds.
    """
    saver = None if save is None else FrameSaver(save, kind)
    console = Console()
    live = None if json or not console.is_terminal else Live(console=console, auto_refresh=False)
    until = None if seconds is None else time.monotonic() + seconds
    silent_since = time.monotonic()
    told = False
    before: dict[str, CameraView] = {}
    shown = time.monotonic()
    try:
        with live or nullcontext(), suppress(KeyboardInterrupt):  # its usual end
            while until is None or time.monotonic() < until:
                received = subscriber.next(0.1)
                if received is not None and saver is not None:
                    saver.save(received)
                if time.monotonic() - shown < REFRESH_S:
                    continue
                interval, shown = time.monotonic() - shown, time.monotonic()
                cameras = subscriber.cameras
                if not cameras and not told and shown - silent_since > SILENT_S:
                    told = True
                    typer.echo(SILENT, err=True)
                rows = {
                    name: summary(view, before.get(name), interval)
                    for name, view in sorted(cameras.items())
                }
                before = cameras
                if live is not None:
                    live.update(table(rows, subscriber.refused), refresh=True)
                else:
                    for line in _lines(rows, json=json):
                        typer.echo(line)
                    if subscriber.refused:
                        typer.echo(f"note: {subscriber.refused}", err=True)
    finally:
        if saver is not None:
            saver.close()
            for line in saver.told():
                typer.echo(line, err=True)
    if until is not None and time.monotonic() >= until and not subscriber.cameras:
        raise InputError("nothing came; check the address, the keys and the cameras' names")


def summary(view: CameraView, before: CameraView | None, interval: float) -> dict[str, object]:
    """Return the figures of a camera since ``before``, ``interval`` seconds ago."""
    ages = sorted(view.ages_s)
    p50, p95 = (None, None)
    if len(ages) > 1:
        cuts = quantiles(ages, n=20, method="inclusive")
        p50, p95 = round(cuts[9] * 1000), round(cuts[18] * 1000)
    received = view.received - (before.received if before else 0)
    return {
        "state": view.state,
        "fps": round(received / interval, 1) if interval > 0 else 0.0,
        "age_p50_ms": p50,
        "age_p95_ms": p95,
        "received": view.received,
        "lost": view.lost,
        "dropped": dict(view.last.dropped) if view.last else {},
        "rain": view.last.rain if view.last else None,
        "derained": view.derained,
        "bypassed": dict(view.bypassed),
        "restarts": view.restarts,
        "size": f"{view.last.shape[1]}x{view.last.shape[0]}" if view.last else None,
        "message": view.message,
    }


def table(rows: Mapping[str, Mapping[str, object]], refused: str | None = None) -> Table:
    """Return the figures as a table."""
    drawn = Table(
        title=f"refused: {refused}" if refused else None,
        box=None,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for column in ("camera", "state", "size"):
        drawn.add_column(column, no_wrap=column == "state", overflow="fold")
    for column in ("fps", "age p50, ms", "age p95, ms", "lost", "dropped", "rain", "derained"):
        drawn.add_column(column, justify="right", no_wrap=not column.startswith("age"))
    drawn.add_column("passed as it came", overflow="fold")
    for name, row in rows.items():
        dropped = row["dropped"]
        assert isinstance(dropped, dict)
        drawn.add_row(
            name, _text(row["state"]), _text(row["size"]), _text(row["fps"]),
            _text(row["age_p50_ms"]), _text(row["age_p95_ms"]), _text(row["lost"]),
            _text(sum(dropped.values())), _text(row["rain"]), _text(row["derained"]),
            _counts(row["bypassed"]),
        )  # fmt: skip
    if not rows:
        drawn.add_row("(nothing yet)")
    return drawn


def _lines(rows: Mapping[str, Mapping[str, object]], *, json: bool) -> Iterable[str]:
    for name, row in rows.items():
        if json:
            yield json_module.dumps({"camera": name, **row})
        else:
            yield (
                f"{name}: {_text(row['state'])}, {_text(row['size'])}, {row['fps']} frames/s, age "
                f"{_text(row['age_p50_ms'])}/{_text(row['age_p95_ms'])} ms (p50/p95), "
                f"{row['lost']} lost, {row['derained']} derained, {_counts(row['bypassed'])}"
            ).rstrip(", ") + (f": {row['message']}" if row["message"] else "")


def _counts(counts: object) -> str:
    assert isinstance(counts, dict)
    return ", ".join(f"{number} {reason}" for reason, number in sorted(counts.items()))


def _text(value: object, unit: str = "") -> str:
    return "-" if value is None else f"{value}{unit}"
