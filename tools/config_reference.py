"""The configuration reference, docs/configuration.md: ``python -m tools.config_reference``.

It is made from the models that read the file, so it can't say anything else than they do; a test
says when it has to be made anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from streamderain.clusterconfig import ClusterConfig
from streamderain.config import (
    CameraConfig,
    CameraDefaults,
    Curve,
    Gate,
    RecordOutput,
    RtspOutput,
    RunConfig,
    ZeroMqOutput,
)
from streamderain.serviceconfig import TOKEN_LENGTH, ServiceConfig
from tools.ending import ends_in_a_sentence
from tools.files import write_whole

__all__ = ["duration", "main", "reference", "rows", "type_of"]

TARGET = Path(__file__).parents[1] / "docs" / "configuration.md"

HEAD = """\
# Configuration

<!-- Made by `python -m tools.config_reference`; change the models or that tool, not this page. -->

Every key of the file that `streamderain run` reads. [configs/cameras.yaml](../configs/cameras.yaml)
has the same as a file to copy, `streamderain check FILE` says what is wrong with yours, by line and
key, and `streamderain check --schema` gives editors what they need to complete it.

- The file is YAML. A key that isn't here is an error, so no typing error is lost.
- **Durations** are `500ms`, `10s`, `2m`, `1h`, or a number of seconds, above 0 and up to a day.
- **Relative paths** in it start from the file's own folder.
- **Only `cameras` is needed**; all else has its default.
"""

ENVIRONMENT = """\
## Environment

Every text in the file may take variables of the environment: `${NAME}`, or `${NAME:-text}` for a
text where there is no such variable. One that is missing is an error, by line and key. As user or
password within an address a value is escaped, so `@` and `/` in it are right.

| key | customary variable |
| --- | --- |
| `password` of a camera | `${GATE_PASSWORD}`, one for each camera |
| `password` of an [RTSP output](#output-rtsp) | `${PUBLISH_PASSWORD}` |
| `token` of the [service](#service) | `${STREAMDERAIN_TOKEN}` |

The names are yours to choose. Beside these, two variables change what `run` does without being in
the file: `STREAMDERAIN_CACHE` is the folder in which what was made of a network is kept for the
next start ([gpu.md](gpu.md#the-cache)), and `FORWARDED_ALLOW_IPS` names the reverse proxies that
are believed ([service.md](service.md#behind-a-proxy-with-tls)).
"""

SECTIONS: Sequence[tuple[str, type[BaseModel], str]] = (
    ("The file", RunConfig, "At its top level."),
    (
        "cameras.ID",
        CameraConfig,
        "A camera has `source` and every key of [defaults](#defaults); what it doesn't say comes "
        "from there. `outputs` and `gate` are taken whole: a camera with outputs of its own has "
        "only those.",
    ),
    ("defaults", CameraDefaults, "What every camera does unless it says otherwise."),
    ("gate", Gate, "When frames go to the network at all ([what the gauge sees](temporal.md))."),
    ("Output: zeromq", ZeroMqOutput, "Publishes frames over ZeroMQ ([the wire](wire.md))."),
    ("curve", Curve, "Keys of what is published; `streamderain keys FOLDER NAME...` makes them."),
    ("Output: record", RecordOutput, "Records the clean video in segments, whole after a crash."),
    ("Output: rtsp", RtspOutput, "Pushes the clean video to a server ([how](recipes/README.md))."),
    ("service", ServiceConfig, "A page, REST and metrics ([the web service](service.md))."),
    (
        "cluster",
        ClusterConfig,
        "Of `streamderain run --ray` alone ([cameras in a cluster](clusters.md#live-cameras)).",
    ),
)  # fmt: skip

LINKS: dict[type[BaseModel], str] = {
    ServiceConfig: "[service](#service)",
    ClusterConfig: "[cluster](#cluster)",
    CameraDefaults: "[defaults](#defaults)",
    Gate: "[gate](#gate)",
    Curve: "[curve](#curve)",
}

OUTPUTS = (
    "list of [zeromq](#output-zeromq), [record](#output-record), [rtsp](#output-rtsp); 1 or more"
)

SPECIAL: Mapping[tuple[type, str], str] = {
    (RunConfig, "cameras"): "[cameras](#camerasid) by id; 1 or more",
    (CameraDefaults, "outputs"): OUTPUTS,
    (CameraDefaults, "region"): "4 integers, or null; width and height 16 or more",
    (CameraDefaults, "resize"): "text `WIDTHxHEIGHT`, each 16 or more, or null",
    (CameraConfig, "source"): "text",
    (RtspOutput, "bitrate"): "bits a second, 1000 or more, as a number or text like `2M`, or null",
    (ClusterConfig, "ports"): "text `FIRST-LAST`, from 1024 to 65535, or null",
    (ServiceConfig, "token"): f"text, {TOKEN_LENGTH[0]} to {TOKEN_LENGTH[1]} characters, or null",
    (ServiceConfig, "hosts"): "list of text; up to 64",
}
"""What a schema says less well than a sentence."""

_CODE = re.compile(
    r"(?:password: )?\$?\{\w+\}|\b[a-z]+(?:\(s\))?://(?:[\w./:]*\w)?|/dev/video0|scene:heavy"
)

PLAIN = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}


def duration(seconds: float) -> str:
    """Return seconds as they are written in the file, such as ``500ms`` or ``10m``."""
    if seconds < 1:
        return f"{1000 * seconds:g}ms"
    return f"{seconds / 60:g}m" if seconds >= 60 and seconds % 60 == 0 else f"{seconds:g}s"


def type_of(model: type[BaseModel], name: str, schema: Mapping[str, Any]) -> str:
    """Return type and range of a field, in words.

    Args:
        model: that has the field.
        name: of the field.
        schema: of the field, out of the model's JSON Schema.

    Raises:
        ValueError: the schema is of a kind that this tool can't tell yet.
    """
    for kind in model.__mro__:
        if (kind, name) in SPECIAL:
            return SPECIAL[kind, name]
    kinds = schema.get("anyOf", [schema])
    for section, link in LINKS.items():
        if kinds[0].get("$ref", "").endswith(f"/{section.__name__}"):
            return f"{link}, or null" if len(kinds) > 1 else link
    if [kind.get("type") for kind in kinds] == ["number", "string"]:
        return "duration"
    return ", or ".join(_one(kind) for kind in kinds)


def rows(model: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    """Return key, type, default and meaning of each key that is the model's own."""
    inherited = CameraDefaults.model_fields if model is CameraConfig else {}
    schemas = model.model_json_schema()["properties"]
    found = []
    for name, field in model.model_fields.items():
        if name not in inherited:
            kind = type_of(model, name, schemas[name])
            # An output is told by its type, so that has to be said, whatever a model's default is.
            default = "needed" if name == "type" else _default(field, kind)
            found.append((name, kind, default, _meaning(name, field.description)))
    return found


def reference() -> str:
    """Return the whole page, as Markdown."""
    parts = [HEAD]
    for title, model, said in SECTIONS:
        lines = [f"## {title}\n", f"{said}\n", "| key | type and range | default | meaning |"]
        lines.append("| --- | --- | --- | --- |")
        lines += [
            f"| `{key}` | {kind} | {default} | {meaning} |"
            for key, kind, default, meaning in rows(model)
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, ENVIRONMENT])


@ends_in_a_sentence
def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or say whether it is up to date."""
    parser = argparse.ArgumentParser(prog="python -m tools.config_reference", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=TARGET, help="the page")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    args = parser.parse_args(arguments)
    if args.check:
        there = args.output.read_text(encoding="utf-8") if args.output.exists() else ""
        if there == reference():
            return 0
        print(f"error: {args.output} is not what the models say; run this without --check",
              file=sys.stderr)  # fmt: skip
        return 1
    write_whole(args.output, reference().encode())
    return 0


def _meaning(name: str, described: str | None) -> str:
    """Return a field's docstring as a cell of the table; what is code in it is shown as code."""
    if described is None and name == "type":
        return "Which kind of output it is."
    text = " ".join((described or "").replace("``", "`").split())
    return _CODE.sub(r"`\g<0>`", text)


def _one(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("format") == "path":
        return "path"
    if schema.get("type") == "null":
        return "null"
    if schema.get("type") not in PLAIN:
        raise ValueError(f"a field with the schema {schema} needs a line in SPECIAL")
    return PLAIN[schema["type"]] + _range(schema)


def _range(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    words = []
    if above is not None:
        words.append(f"above {above:,}")
    if least is not None:
        words.append(f"{least:,} or more")
    if most is not None:
        words.append(f"up to {most:,}")
    return f", {' and '.join(words)}" if words else ""


def _default(field: FieldInfo, kind: str) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, list) and value:  # the outputs
        return f"one of type `{value[0].type}`"
    if kind == "duration" and isinstance(value, float):
        return f"`{duration(value)}`"
    return f"`{json.dumps(to_jsonable_python(value)).strip(chr(34))}`"


if __name__ == "__main__":
    sys.exit(main())
