"""What several commands share: options, notes, and how the work goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from streamderain.defaults import PICTURE_MODEL, VIDEO_MODEL

if TYPE_CHECKING:
    from streamderain.progress import BarProgress, LineProgress

__all__ = [
    "BackendOption",
    "DeviceOption",
    "ModelOption",
    "PrecisionOption",
    "progress_of_work",
    "tell",
]

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|FILE",
        help="Name of a shipped network, or an .onnx file.",
        show_default=f"{VIDEO_MODEL}; {PICTURE_MODEL} for pictures",
    ),
]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")]
BackendOption = Annotated[
    str,
    typer.Option(metavar="auto|onnx|openvino|tensorrt|torch", help="What runs the network."),
]
PrecisionOption = Annotated[
    str,
    typer.Option(metavar="auto|int8|float", help="What a CPU computes in; int8 is the fast one."),
]


def tell(notes: Iterable[str]) -> None:
    """Say what there is to know, a line each, on standard error."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def progress_of_work() -> BarProgress | LineProgress:
    """Return a bar on a terminal, lines elsewhere."""
    from rich.console import Console

    from streamderain.progress import BarProgress, LineProgress

    console = Console(stderr=True)
    if console.is_terminal:
        return BarProgress(console)
    return LineProgress(lambda line: typer.echo(line, err=True))
