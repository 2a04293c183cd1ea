"""The REST reference, docs/rest.md: ``python -m tools.rest_reference``.

It is made from the OpenAPI document of the web service, which is put beside it as
docs/openapi.json; a test says when both have to be made anew. Needs streamderain[service].
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from streamderain.errors import StreamderainError
from streamderain.serviceconfig import ServiceConfig
from tools.files import write_whole

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["document", "main", "reference"]

DOCS = Path(__file__).parents[1] / "docs"

HEAD = """\
# REST

<!-- Made by `python -m tools.rest_reference`; change the operations, not this page. -->

Everything that the web service answers. [service.md](service.md#rest) has a command for each, and
says who may do what; [openapi.json](openapi.json) has the same for generators and for Postman and
the like, and a running service has its own at `/api/v1/openapi.json`. *Look* needs the token unless
the request comes from this machine at a loopback address, *change* always does.
"""


def document() -> dict[str, Any]:
    """Return the OpenAPI document as a service at its default address has it, without a version.

    The version is left out since the document stands in the repository for whatever version is
    there.
    """
    from streamderain.service.app import make_app

    nothing_runs = cast(Any, None)  # what would answer for cameras isn't asked
    app = make_app(ServiceConfig(token="only-described"), nothing_runs, str)
    made: dict[str, Any] = json.loads(asyncio.run(_asked(app, "/api/v1/openapi.json")))
    made["info"]["version"] = "1"
    return made


def reference(openapi: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document, as Markdown."""
    lines = [HEAD]
    by_tag: dict[str, list[str]] = {}
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            said = "\n".join(_operation(method.upper(), path, operation))
            by_tag.setdefault(operation["tags"][0], []).append(said)
    for tag, found in by_tag.items():
        lines += [f"## {tag.capitalize()}\n", *found]
    lines.append("## What is sent and answered\n")
    for name, schema in sorted(openapi["components"]["schemas"].items()):
        lines.append("\n".join(_shape(name, schema)))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and the document."""
    parser = argparse.ArgumentParser(prog="python -m tools.rest_reference", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=DOCS, help="the folder of both")
    args = parser.parse_args(arguments)
    try:
        made = document()
        text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
        write_whole(args.output / "openapi.json", text.encode())
        write_whole(args.output / "rest.md", reference(made).encode())
    except ImportError as error:
        print(f"error: {error}; pip install 'streamderain[service]'", file=sys.stderr)
        return 1
    except StreamderainError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


async def _asked(app: ASGIApp, path: str) -> bytes:
    """Return what the application answers, without a server."""
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "scheme": "http",
        "query_string": b"", "headers": [(b"host", b"127.0.0.1:8080")], "http_version": "1.1",
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080),
    }  # fmt: skip
    answer = bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        answer.extend(message.get("body", b""))

    await app(scope, receive, send)
    return bytes(answer)


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method} {path}\n"
    yield f"{_cell(operation['description'])} {_access(operation['security'])}\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "| parameter | in | type | meaning |\n| --- | --- | --- | --- |"
        for one in parameters:
            kind = _type(one["schema"])
            yield f"| `{one['name']}` | {one['in']} | {kind} | {_cell(one['description'])} |"
        yield ""
    if "requestBody" in operation:
        yield f"Body: {_type(_json(operation['requestBody']))}.\n"
    yield "| status | means | content |\n| --- | --- | --- |"
    for status, answer in operation["responses"].items():
        yield f"| {status} | {_cell(answer['description'])} | {_content(answer)} |"
    yield ""


def _access(security: Sequence[dict[str, Any]]) -> str:
    if not security:
        return "*Anyone.*"
    return "*Look.*" if {} in security else "*Change.*"


def _content(answer: dict[str, Any]) -> str:
    schema = _json(answer)
    if schema:
        return _type(schema)
    return ", ".join(f"`{media}`" for media in answer.get("content", {})) or "none"


def _json(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return found


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if schema.get("description"):
        yield f"{_cell(schema['description'])}\n"
    if "properties" not in schema:
        yield f"{_type(schema).capitalize()}.\n"
        return
    needed = schema.get("required", [])
    yield "| key | type | meaning |\n| --- | --- | --- |"
    for key, value in schema["properties"].items():
        words = [_cell(value.get("description", ""))]
        if key in needed and not name.endswith("View"):
            words.append("Needed.")
        yield f"| `{key}` | {_type(value)} | {' '.join(filter(None, words))} |"
    yield ""


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(_type(one) for one in schema[several])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "anything")
    if kind == "array":
        if "prefixItems" in schema:
            return f"list of {len(schema['prefixItems'])} × {_type(schema['prefixItems'][0])}"
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{kind}, {least:,} to {most:,}"
    return f"{kind}, {least:,} or more" if least is not None else str(kind)


def _cell(text: str) -> str:
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


if __name__ == "__main__":
    sys.exit(main())
