"""Commands about networks and this machine: ``models``, ``bench`` and ``doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from streamderain.commands.options import BackendOption, DeviceOption, ModelOption, tell
from streamderain.defaults import VIDEO_MODEL

__all__ = ["bench", "doctor", "models"]


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show the whole card of this one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the networks that are shipped: size, speed class, terms."""
    from streamderain.show import show_model, show_models

    typer.echo(show_models(json=json) if name is None else show_model(name, json=json))


def bench(
    model: ModelOption = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the frames.")] = "1280x720",
    device: DeviceOption = "auto",
    seconds: Annotated[
        float, typer.Option(min=0.5, metavar="N", help="Length of each measurement.")
    ] = 5.0,
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Frames a run of the network.")
    ] = None,
    backend: BackendOption = "auto",
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Measure this machine: frames per second of each stage, and of all together."""
    from streamderain.arguments import parse_size
    from streamderain.bench import run_bench
    from streamderain.show import show_bench

    model = model or VIDEO_MODEL
    result = run_bench(
        model,
        device,
        *parse_size(size),
        seconds=seconds,
        batch=batch,
        backend=backend,
    )
    tell(result.notes)
    typer.echo(result.model_dump_json(indent=2) if json else show_bench(result))


def doctor(
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what this machine has, what is wrong, what mends it, and what clean and run take here."""
    from rich.console import Console

    from streamderain.doctor.report import consult

    with Console(stderr=True).status("") as status:
        report = consult(lambda part: status.update(f"looking at {part}"))
    typer.echo(report.as_json() if json else report.as_text())
    raise typer.Exit(report.exit_code)
