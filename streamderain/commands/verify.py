"""The command ``verify``: whether videos are what their evidence says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamderain.errors import InputError, StreamderainError, UsageError

if TYPE_CHECKING:
    from streamderain.evidence import Verified
    from streamderain.storage.address import Place

__all__ = ["verify"]


def verify(
    outputs: Annotated[
        list[str], typer.Argument(metavar="VIDEO", help="Cleaned videos, or addresses of some.")
    ],
    source: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The recording it was made of, checked as well."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Public key (PEM) that must have signed."),
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option(metavar="FILE", show_default="VIDEO.evidence.json", help="The evidence."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the statements on standard output.")
    ] = False,
) -> None:
    """Check videos against the evidence that clean --evidence has written beside them."""
    from streamderain.evidence import Verified
    from streamderain.storage.address import shown

    failed = False
    names: list[str] = []
    for word in outputs:
        try:
            names += _matching(word)
        except InputError as error:
            failed = True
            typer.echo(f"error: {error}", err=True)
    if len(names) > 1 and (source or evidence):
        raise UsageError("--source and --evidence go with one video; name one at a time")
    statements = []
    for output in names:
        try:
            found = _verified(output, evidence, source, key)
        except UsageError:
            raise
        except StreamderainError as error:
            failed = True
            typer.echo(f"error: {error}", err=True)
            continue
        statements.append(found)
        if not json:
            for problem in found.statement.problems:
                typer.echo(f"note: {problem}", err=True)
            typer.echo(_sentence(shown(output), found, source and shown(source)))
    if json:
        from pydantic import TypeAdapter

        typer.echo(TypeAdapter(list[Verified]).dump_json(statements, indent=2).decode())
    raise typer.Exit(int(failed))


def _matching(word: str) -> list[str]:
    """Return what a pattern in a store stands for, without evidence; of all else the word itself.

    On this machine the shell has done so.
    """
    from streamderain.evidence import evidence_path
    from streamderain.storage.address import RemotePath, place_of
    from streamderain.storage.files import Store

    place = place_of(word)
    if not isinstance(place, RemotePath) or not place.has_magic:
        return [word]
    store = Store(place)
    if store.info(place) is not None:  # a file of that very name
        return [word]
    ending = evidence_path(Path("x")).name.removeprefix("x")
    found = [each for each in store.matching(place) if not each.name.endswith(ending)]
    found = [each for each in found if not store.is_folder(each)]
    if not found:
        raise InputError(f"nothing matches {place}; check the address")
    return [each.address for each in found]


def _verified(output: str, evidence: str | None, source: str | None, key: Path | None) -> Verified:
    """Check one video, of which copies are fetched where it or what belongs to it is in a store."""
    from contextlib import ExitStack

    from streamderain.evidence import evidence_path, verify
    from streamderain.storage.address import RemotePath, place_of
    from streamderain.storage.copies import SourceCache
    from streamderain.storage.files import Store

    place = place_of(output)
    folder = place.is_dir() if isinstance(place, Path) else Store(place).is_folder(place)
    if folder or not place.name:
        raise InputError(f"{place} is a folder; name its videos, as {place}/*.mp4")
    if evidence is not None:
        beside = place_of(evidence)
    elif isinstance(place, RemotePath):
        beside = place.with_name(evidence_path(Path(place.name)).name)
    else:
        beside = evidence_path(place)
    if isinstance(beside, RemotePath) and Store(beside).info(beside) is None:
        raise InputError(f"there is no evidence at {beside}; clean writes it with --evidence")
    copies: list[tuple[Path, str]] = []
    with ExitStack() as stack:

        def local(name: Place) -> Path:
            path = stack.enter_context(stack.enter_context(SourceCache()).local(name))
            copies.append((path, str(name)))
            return path

        try:
            return verify(
                local(place), evidence=local(beside), key=key,
                source=None if source is None else local(place_of(source)),
            )  # fmt: skip
        except StreamderainError as error:
            text = str(error)
            for path, name in copies:
                text = text.replace(str(path), name)
            error.args = (text,)
            raise


def _sentence(output: str, found: object, source: str | None) -> str:
    from streamderain.evidence import Verified

    assert isinstance(found, Verified)
    said = found.statement
    bypassed = "".join(f", {count} {reason}" for reason, count in said.bypassed.items())
    if said.corrupt:
        bypassed += f", {said.corrupt} damaged"
    if said.problems:
        bypassed += ", incomplete"
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
