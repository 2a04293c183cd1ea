"""Commands about networks and this machine: ``models``, ``bench`` and ``doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from streamderain.commands.options import BackendOption, DeviceOption, PrecisionOption, tell
from streamderain.defaults import LIVE_MODEL, VIDEO_MODEL
from streamderain.errors import UsageError

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
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|FILE",
            help="Name of a shipped network, or an .onnx file.",
            show_default=f"{VIDEO_MODEL}; {LIVE_MODEL} with --cameras",
        ),
    ] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the frames.")] = "1280x720",
    device: DeviceOption = "auto",
    backend: BackendOption = "auto",
    precision: PrecisionOption = "auto",
    seconds: Annotated[
        float, typer.Option(min=0.1, max=600, metavar="N", help="Length of each measurement.")
    ] = 5.0,
    batch: Annotated[
        int | None, typer.Option(min=1, max=64, metavar="N", help="Frames a run of the network.")
    ] = None,
    cameras: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, metavar="N", help="Serve so many at once as well, as run does."
        ),
    ] = None,
    fps: Annotated[
        str, typer.Option(metavar="RATE", help="Of each of the cameras, e.g. 25 or 30000/1001.")
    ] = "25",
    dry: Annotated[
        bool, typer.Option("--dry", help="What video without rain costs, as well.")
    ] = False,
    bitrate: Annotated[
        str | None,
        typer.Option(
            metavar="RATE",
            help="Of the file to decode, e.g. 4M.",
            show_default="the quality that clean writes",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL[:BACKEND[:PRECISION]]", help="Another one, measured in turns with it."
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Measure this machine: frames a second of each stage, all together, and of cameras."""
    from streamderain.hardware import leave_cores_to_stages

    leave_cores_to_stages()
    from rich.console import Console

    from streamderain.arguments import parse_bitrate, parse_rate, parse_size
    from streamderain.bench.rivals import parse_rival
    from streamderain.bench.run import BenchOptions, run_bench
    from streamderain.bench.telling import as_markdown, as_plain_text

    if markdown and json:
        raise UsageError("--markdown and --json are two forms of one result; choose one")
    height, width = parse_size(size)
    rival = None
    if against is not None:
        rival = parse_rival(against, backend=backend, precision=precision)
    options = BenchOptions(
        model or (LIVE_MODEL if cameras else VIDEO_MODEL), device, backend, precision,
        height=height, width=width, seconds=seconds, batch=batch, cameras=cameras,
        fps=parse_rate(fps), dry=dry, against=rival,
        bitrate=None if bitrate is None else parse_bitrate(bitrate),
    )  # fmt: skip
    with Console(stderr=True).status("") as status:
        result = run_bench(options, status.update)
    tell(result.notes)
    if json:
        typer.echo(result.model_dump_json(indent=2))
    else:
        typer.echo(as_markdown(result) if markdown else as_plain_text(result))


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
