"""The OpenAPI document, made from the table of operations: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from streamderain import __version__
from streamderain.config import CAMERA_ID
from streamderain.service.operations import Answer, Operation
from streamderain.service.security import Access, Guard

__all__ = ["describe"]

PLACE = "#/components/schemas/{model}"

Mode = Literal["validation", "serialization"]


def describe(operations: Iterable[Operation], guard: Guard) -> dict[str, Any]:
    """Return the OpenAPI document of the operations, as plain data.

    Args:
        operations: all of them.
        guard: of the service; whether reading needs the token depends on it.
    """
    operations = list(operations)
    names, schemas = _schemas(operations, guard)
    paths: dict[str, Any] = {}
    for operation in operations:
        place = paths.setdefault(operation.path, {})
        place[operation.method.lower()] = _operation(operation, guard, names)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "streamderain",
            "version": __version__,
            "description": (
                "See and steer the cameras of 'streamderain run'; docs/service.md says how, "
                "docs/rest.md has all of it to read."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "service.token of the configuration.",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": guard.cookie,
                    "description": "Set by POST /api/v1/session.",
                },
            },
        },
    }  # fmt: skip


def _schemas(
    operations: Iterable[Operation], guard: Guard
) -> tuple[dict[tuple[type[BaseModel], Mode], Any], dict[str, Any]]:
    """Return a reference for every model, and the models' schemas by name."""
    wanted: dict[tuple[type[BaseModel], Mode], None] = {}
    for operation in operations:
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
        for answer in operation.all_answers(guard).values():
            if answer.shape is not None:
                wanted[answer.shape, "serialization"] = None
    references, found = models_json_schema(list(wanted), ref_template=PLACE)
    return {(model, mode): references[model, mode] for model, mode in wanted}, found["$defs"]


def _operation(
    operation: Operation, guard: Guard, names: dict[tuple[type[BaseModel], Mode], Any]
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.said.partition(". ")[0].partition(": ")[0].removesuffix("."),
        "description": operation.said,
        "tags": [operation.tag],
        "responses": {
            str(status): _answer(answer, names)
            for status, answer in operation.all_answers(guard).items()
        },
        "security": _security(operation.access, guard),
    }
    parameters = [
        {
            "name": name, "in": "path", "required": True, "description": "Of the camera.",
            "schema": {"type": "string", "pattern": CAMERA_ID},
        }
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]  # fmt: skip
    if operation.query is not None:
        parameters += _parameters(operation.query)
    parameters += [
        {"name": name, "in": "header", "description": said, "schema": {"type": "string"}}
        for name, said in operation.headers.items()
    ]
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": names[operation.body, "validation"]}},
        }
    return made


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    found = []
    for name, schema in query.model_json_schema()["properties"].items():
        said = schema.pop("description", "")
        schema.pop("title", None)
        if "anyOf" in schema:  # what is null over JSON is left out in an address
            schema = next(one for one in schema["anyOf"] if one.get("type") != "null")
        found.append({"name": name, "in": "query", "description": said, "schema": schema})
    return found


def _answer(answer: Answer, names: dict[tuple[type[BaseModel], Mode], Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer.said}
    if answer.shape is not None:
        schema = names[answer.shape, "serialization"]
        made["content"] = {"application/json": {"schema": schema}}
    elif answer.media:
        made["content"] = {media: {"schema": {"type": "string"}} for media in answer.media}
    if answer.headers:
        made["headers"] = {
            name: {"description": said, "schema": {"type": "string"}}
            for name, said in answer.headers.items()
        }
    return made


def _security(access: Access, guard: Guard) -> list[dict[str, Any]]:
    either: list[dict[str, Any]] = [{"token": []}, {"session": []}]
    if access is Access.CHANGE or (access is Access.READ and guard.needs_token):
        return either
    return [{}, *either] if access is Access.READ else []
