"""The command line: parses, calls, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from streamderain import __version__
from streamderain.errors import ConfigError, StreamderainError, UsageError

if TYPE_CHECKING:
    from streamderain.progress import BarProgress, LineProgress

app = typer.Typer(
    name="streamderain",
    help="Takes the rain out of surveillance video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)

ModelOption = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="NAME|FILE", help="Name of a shipped network, or an .onnx file."
    ),
]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda", help="Where the network runs.")]
BackendOption = Annotated[
    str,
    typer.Option(metavar="auto|onnx|torch", help="What runs the network; torch needs PyTorch."),
]
DEFAULT_MODEL = "attention-m"
INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"streamderain {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Takes the rain out of surveillance video."""


@app.command()
def clean(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="Videos, pictures, folders of them, or - for raw rgb24 frames.",
        ),
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File, folder, or - for raw frames. Default: NAME.clean.EXT.",
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    backend: BackendOption = "auto",
    codec: Annotated[
        str, typer.Option(metavar="h264|hevc|av1|ffv1", help="Video codec; ffv1 is lossless.")
    ] = "h264",
    crf: Annotated[
        int | None,
        typer.Option(metavar="N", help="Quality: 0 is best, 51 worst (av1: 63); h264: 18."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Speed of the encoder, by its names.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Frames a run of the network.")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Left half as it came, right half derained.")
    ] = False,
    always: Annotated[
        bool, typer.Option("--always", help="Derain frames on which it doesn't rain as well.")
    ] = False,
    sample: Annotated[
        str | None, typer.Option(metavar="TIME", help="Clean only a piece from the start, e.g. 5s.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace targets.")] = False,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Of raw frames on standard input.")
    ] = None,
    fps: Annotated[
        str | None, typer.Option(metavar="RATE", help="Of raw frames, e.g. 25 or 30000/1001.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print a report on standard output.")
    ] = False,
) -> None:
    """Clean videos and pictures: same length, same sound, same timestamps, no rain."""
    from streamderain.arguments import parse_duration, parse_rate, parse_size
    from streamderain.clean import CleanOptions, clean_all
    from streamderain.inference.create import create_backend
    from streamderain.jobs import PIPE, JobKind, plan_jobs

    options = CleanOptions(
        codec=codec, crf=crf, preset=preset, batch=batch, compare=compare, overwrite=overwrite,
        always=always, sample_s=None if sample is None else parse_duration(sample),
        size=None if size is None else parse_size(size),
        rate=None if fps is None else parse_rate(fps),
    )  # fmt: skip
    if (size or fps) and inputs != [PIPE]:
        raise UsageError("--size and --fps describe raw frames; they go with the input '-' only")
    jobs, refused = plan_jobs(inputs, output, word="compare" if compare else "clean")
    still = next((job.name for job in jobs if job.kind is JobKind.PICTURES), None)
    if sample and still:
        raise UsageError(f"--sample takes a piece of a video; {still} is a picture or holds some")
    if any(not job.targets for job in jobs) and sys.stdout.isatty():
        raise UsageError(
            "raw frames would go to this terminal; send them on with |, or say -o NAME.mp4"
        )
    if json and any(not job.targets for job in jobs):
        raise UsageError("--json and '-o -' both want standard output; choose one")
    progress = _progress()
    try:
        with create_backend(model, device, backend) as network:
            _tell(network.notes)
            report = clean_all(jobs, refused, network, options, progress)
    finally:
        progress.close()
    if json:
        typer.echo(report.model_dump_json(indent=2))
    raise typer.Exit(report.exit_code)


def _tell(notes: Sequence[str]) -> None:
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def _progress() -> BarProgress | LineProgress:
    from rich.console import Console

    from streamderain.progress import BarProgress, LineProgress

    console = Console(stderr=True)
    if console.is_terminal:
        return BarProgress(console)
    return LineProgress(lambda line: typer.echo(line, err=True))


@app.command()
def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file of cameras.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME|FILE", help="Instead of its own.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="Instead of its own.")
    ] = None,
) -> None:
    """Clean live cameras and publish them, until stopped."""
    from streamderain.configfile import load_config
    from streamderain.live.running import run_until_stopped

    run_until_stopped(load_config(config), model=model, device=device)


@app.command()
def check(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="A YAML file of cameras.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema, for editors.")
    ] = False,
) -> None:
    """Say what is wrong with a configuration, with line and key."""
    import json as json_module

    from streamderain import configfile
    from streamderain.configcheck import exposed, find_problems
    from streamderain.show import show_config

    if schema:
        typer.echo(json_module.dumps(configfile.schema(), indent=2))
        return
    if config is None:
        raise UsageError("name a configuration to check, or say --schema")
    checked = configfile.load_config(config)
    problems = find_problems(checked)
    if problems:
        lines = configfile.lines_of(config)
        said = [f"{config}:{configfile.line_of(text, lines)}: {text}" for text in problems]
        raise ConfigError("\n".join(said))
    typer.echo(show_config(checked))
    _tell(exposed(checked))


@app.command()
def listen(
    addresses: Annotated[
        list[str], typer.Argument(metavar="ADDRESS", help="tcp://HOST:PORT or ipc:///PATH")
    ],
    camera: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this camera; may be repeated.")
    ] = None,
    pattern: Annotated[
        str, typer.Option(metavar="sub|pull", help="pull where the publisher pushes.")
    ] = "sub",
    save: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Keep the frames.")] = None,
    as_: Annotated[
        str, typer.Option("--as", metavar="png|jpg|mp4", help="What --save writes.")
    ] = "mp4",
    seconds: Annotated[
        float | None, typer.Option(min=0.1, metavar="N", help="Stop after this time.")
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The publisher's public key, server.key.")
    ] = None,
    client_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Our own key, NAME.key_secret.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON a second.")] = False,
) -> None:
    """Show what a subscriber sees: rate, age, gaps, rain and bypass of each camera."""
    from streamderain.client import Subscriber
    from streamderain.listen import listen_to

    with Subscriber(
        addresses, cameras=camera or None, pattern=pattern, server_key=server_key,
        client_key=client_key,
    ) as subscriber:  # fmt: skip
        listen_to(subscriber, save=save, kind=as_, seconds=seconds, json=json)


@app.command()
def keys(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the keys go.")],
    clients: Annotated[
        list[str] | None, typer.Argument(metavar="CLIENT", help="Names of those who may read.")
    ] = None,
) -> None:
    """Make keys for encryption: the publisher's, and one for each client."""
    from streamderain.keys import make_keys

    written = make_keys(folder, clients or [])
    for path in written:
        secret = " (secret)" if path.suffix == ".key_secret" else ""
        typer.echo(f"{path}{secret}")
    if not written:
        typer.echo("all these keys are there already")


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show the whole card of this one.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the networks that are shipped: size, speed class, terms."""
    from streamderain.show import show_model, show_models

    typer.echo(show_models(json=json) if name is None else show_model(name, json=json))


@app.command()
def bench(
    model: ModelOption = DEFAULT_MODEL,
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

    result = run_bench(
        model, device, *parse_size(size), seconds=seconds, batch=batch, backend=backend
    )
    _tell(result.notes)
    typer.echo(result.model_dump_json(indent=2) if json else show_bench(result))


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the files go.")
    ] = Path("demo"),
    model: ModelOption = DEFAULT_MODEL,
    device: DeviceOption = "auto",
    seconds: Annotated[float, typer.Option(min=0.2, max=600, metavar="N", help="Length.")] = 8.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Clean a rainy test scene: no camera, no file, no network needed."""
    from streamderain.demo import run_demo
    from streamderain.show import show_demo

    progress = _progress()
    try:
        result = run_demo(output, model, device, seconds, progress, overwrite=overwrite)
    finally:
        progress.close()
    _tell(result.notes)
    typer.echo(show_demo(result))


def entry() -> NoReturn:
    """Run the command line and end the process: what the command ``streamderain`` calls."""
    code = main()
    if code == INTERRUPTED and threading.active_count() > 1:
        # An impatient second Ctrl-C leaves threads at work in libraries, which abort the process
        # if it is taken down around them.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors become one sentence each."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]  # at any place
    # One way out for Ctrl-C and for a service manager's stop: both clean up and exit with 130.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="streamderain")
        if code == INTERRUPTED:  # typer's way to tell of a Ctrl-C
            raise KeyboardInterrupt
        return int(code or 0)
    except StreamderainError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted: nothing half-written was left behind", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence, not a traceback
        return _report_unexpected(error, debug=debug)


def _report_unexpected(error: Exception, *, debug: bool) -> int:
    """Tell wrong usage (typer's own exceptions) from our own mistakes."""
    code = getattr(error, "exit_code", None)
    show = getattr(error, "format_message", None)
    if code is not None and show is not None:
        said = str(show()).strip()
        if said:  # without a command, typer has shown the help already
            command = getattr(getattr(error, "ctx", None), "command_path", None) or "streamderain"
            typer.echo(f"error: {said}", err=True)
            typer.echo(f"Try '{command} --help'.", err=True)
        return 2
    if debug:
        raise error
    typer.echo(
        f"error: unexpected {type(error).__name__}: {error}; "
        "this is a defect of streamderain, run again with --debug for details",
        err=True,
    )
    return 1
