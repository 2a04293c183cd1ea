"""Commands for live cameras: ``run``, ``check``, ``listen`` and ``keys``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamderain.commands.options import tell
from streamderain.errors import ConfigError, UsageError

__all__ = ["check", "keys", "listen", "run"]


def run(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file of cameras.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME|FILE", help="Instead of its own.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="Instead of its own.")
    ] = None,
    log_format: Annotated[
        str, typer.Option(metavar="text|json", help="json: an object a line.")
    ] = "text",
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Over a Ray cluster: auto, local or HOST:PORT."),
    ] = None,
) -> None:
    """Clean live cameras and publish them, until stopped."""
    from streamderain.configfile import load_config
    from streamderain.logs import log_format as known_format

    if ray is not None:
        from streamderain.cluster.liverunning import run_on_cluster

        # On other nodes a path means something only as a whole.
        if model is not None and model.endswith(".onnx"):
            model = str(Path(model).absolute())
        run_on_cluster(
            load_config(config.absolute()), ray, model=model, device=device,
            log_format=known_format(log_format),
        )  # fmt: skip
        return
    from streamderain.hardware import leave_cores_to_stages

    leave_cores_to_stages()
    from streamderain.live.running import run_until_stopped

    run_until_stopped(
        load_config(config), model=model, device=device, log_format=known_format(log_format)
    )


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
    from streamderain.configcheck import exposed, find_problems, missing_sources
    from streamderain.show import show_config

    if schema:
        typer.echo(json_module.dumps(configfile.schema(), indent=2))
        return
    if config is None:
        raise UsageError("name a configuration to check, or say --schema")
    checked = configfile.load_config(config)
    lines = configfile.lines_of(config)

    def placed(sentences: list[str]) -> list[str]:
        return [f"{config}:{configfile.line_of(text, lines)}: {text}" for text in sentences]

    missing = placed(missing_sources(checked))
    if problems := placed(find_problems(checked)):
        tell(missing)
        raise ConfigError("\n".join(problems))
    typer.echo(show_config(checked))
    tell(missing + exposed(checked))


def listen(
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="ADDRESS", help="tcp://HOST:PORT or ipc:///PATH")
    ] = None,
    book: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a cluster's address book, instead.")
    ] = None,
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
        addresses or (), book=book, cameras=camera or None, pattern=pattern,
        server_key=server_key, client_key=client_key,
    ) as subscriber:  # fmt: skip
        listen_to(subscriber, save=save, kind=as_, seconds=seconds, json=json)


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
