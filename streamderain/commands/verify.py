"""The command ``verify``: whether videos are what their evidence says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamderain.errors import StreamderainError, UsageError

__all__ = ["verify"]


def verify(
    outputs: Annotated[list[Path], typer.Argument(metavar="VIDEO", help="Cleaned videos.")],
    source: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The recording it was made of, checked as well."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Public key (PEM) that must have signed."),
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", show_default="VIDEO.evidence.json", help="The evidence."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the statements on standard output.")
    ] = False,
) -> None:
    """Check videos against the evidence that clean --evidence has written beside them."""
    from streamderain.evidence import Verified
    from streamderain.evidence import verify as verify_one

    if len(outputs) > 1 and (source or evidence):
        raise UsageError("--source and --evidence go with one video; name one at a time")
    failed = False
    statements = []
    for output in outputs:
        try:
            found = verify_one(output, evidence=evidence, source=source, key=key)
        except UsageError:
            raise
        except StreamderainError as error:
            failed = True
            typer.echo(f"error: {error}", err=True)
            continue
        statements.append(found)
        if not json:
            typer.echo(_sentence(output, found, source))
    if json:
        from pydantic import TypeAdapter

        typer.echo(TypeAdapter(list[Verified]).dump_json(statements, indent=2).decode())
    raise typer.Exit(int(failed))


def _sentence(output: Path, found: object, source: Path | None) -> str:
    from streamderain.evidence import Verified

    assert isinstance(found, Verified)
    said = found.statement
    bypassed = "".join(f", {count} {reason}" for reason, count in said.bypassed.items())
    made = f"{source} was its source" if source else f"its source is said to be {said.source.name}"
    if found.signer is None:
        signed = "nobody signed it, so whoever can write both files can have changed both"
    elif found.trusted:
        signed = "signed with the key that you named"
    else:
        signed = f"signed with the key {found.signer}; --key says whose that must be"
    return (
        f"{output}: as written on {said.created} by streamderain {said.versions['streamderain']} "
        f"with {said.model.name}, {said.frames_out} frames, {said.derained} derained{bypassed}; "
        f"{made}; {signed}"
    )
