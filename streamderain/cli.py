"""The command line: parses, calls, prints. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from streamderain import __version__
from streamderain.commands import live, machine, recorded, verify
from streamderain.errors import Interrupted, StreamderainError

app = typer.Typer(
    name="streamderain",
    help="Takes the rain out of surveillance video.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)

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


for _command in (
    recorded.clean, live.run, live.check, live.listen, live.keys, machine.models, machine.bench,
    machine.doctor, recorded.demo, verify.verify,
):  # fmt: skip
    app.command()(_command)


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
    except Interrupted as error:
        typer.echo(f"interrupted: {error}", err=True)
        return INTERRUPTED
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
