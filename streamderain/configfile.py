"""Read a configuration file: YAML with line numbers, and secrets from the environment."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args
from urllib.parse import quote

import yaml
from pydantic import BaseModel, ValidationError

from streamderain.config import Output, RunConfig
from streamderain.errors import ConfigError

__all__ = ["explain", "line_of", "lines_of", "load_config", "schema"]

Place = tuple[str | int, ...]
"""Keys and indexes that lead to a value."""

SECRET_KEYS = ("source", "user", "password", "token")
"""Their values are not repeated in messages."""

PLAIN_WORDS = {
    "model_type": "should hold keys and values, indented below it",
    "model_attributes_type": "should hold keys and values, indented below it",
    "dict_type": "should hold keys and values, indented below it",
    "list_type": "should be a list, each item after a dash",
    "tuple_type": "should be a list in brackets",
    "too_short": "needs at least {min_length}",
    "path_type": "should be a path",
}
"""What pydantic says in a programmer's words."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_USERINFO = re.compile(r"(://)([^\s]*)(@)")


def load_config(path: Path, environment: Mapping[str, str] | None = None) -> RunConfig:
    """Read and check a configuration.

    ``${NAME}`` in a text is replaced by the environment's variable, ``${NAME:-text}`` by the text
    where there is none; as user or password within an address it is escaped.

    Args:
        path: of the YAML file; relative paths in it start from its folder.
        environment: variables; None for the process's own.

    Raises:
        ConfigError: unreadable, no YAML, or wrong; a line for each problem, with line and key.
    """
    text = _read(path)
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(_yaml_problem(path, error)) from error
    if node is None or not isinstance(data, dict):
        raise ConfigError(f"{path} holds no configuration; configs/cameras.yaml shows one")
    lines = dict(_lines(node))
    problems = list(_twice(node))
    problems += _fill(data, (), os.environ if environment is None else environment, lines)
    unset = {line for line, _ in problems}
    _anchor(data, path.parent)
    try:
        config = RunConfig.model_validate(data)
    except ValidationError as error:
        # What a line lacks an environment variable for can't be judged.
        problems += [(line, said) for line, said in _explain(lines, error) if line not in unset]
    if problems:
        said = "\n".join(f"{path}:{line}: {said}" for line, said in sorted(problems))
        raise ConfigError(said) from None
    return config


def lines_of(path: Path) -> dict[str, int]:
    """Return the line of every key of a configuration, by names like ``cameras.gate.source``.

    Raises:
        ConfigError: it can't be read.
    """
    node = yaml.compose(_read(path), yaml.SafeLoader)
    return {_dotted(place): line for place, line in (_lines(node) if node is not None else ())}


def line_of(problem: str, lines: Mapping[str, int]) -> int:
    """Return the line of the key that a problem begins with, or of what it stands in."""
    key = problem.partition(": ")[0]
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, 1)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the configuration, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RunConfig.model_json_schema(),
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; configs/cameras.yaml is one to copy") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; name the YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror}); check its mode") from error


def _yaml_problem(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{path}:{mark.line + 1}" if mark else str(path)
    said = getattr(error, "problem", None) or "it can't be parsed"
    return f"{where}: not valid YAML: {said}"


def _lines(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Give the line of every value, and of every key, by its place."""
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield from _lines(value, inner)
            yield inner, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*place, index))


def _twice(node: yaml.Node, place: Place = ()) -> Iterator[tuple[int, str]]:
    """Find keys that are there twice, of which YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            inner = (*place, str(key.value))
            if key.value in seen:
                yield key.start_mark.line + 1, f"{_dotted(inner)}: is there twice; keep one"
            seen.add(key.value)
            yield from _twice(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _twice(value, (*place, index))


def _fill(
    data: Any, place: Place, environment: Mapping[str, str], lines: Mapping[Place, int]
) -> list[tuple[int, str]]:
    """Put the environment's variables in, in place; return what is missing."""
    problems: list[tuple[int, str]] = []
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in list(items):
        inner = (*place, key)
        if isinstance(value, dict | list):
            problems += _fill(value, inner, environment, lines)
        elif isinstance(value, str) and "${" in value:
            missing = [
                name
                for name, fallback in _VARIABLE.findall(value)
                if name not in environment and f"${{{name}:-" not in value
            ]
            problems += [
                (
                    lines.get(inner, 1),
                    f"{_dotted(inner)}: the environment variable {name} is not set",
                )
                for name in missing
            ]
            data[key] = _substitute(value, environment)
    return problems


def _substitute(text: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return environment.get(match[1], match[2] or "")

    def escaped(match: re.Match[str]) -> str:
        inner = _VARIABLE.sub(lambda found: quote(value(found), safe=""), match[2])
        return f"{match[1]}{inner}{match[3]}"

    return _VARIABLE.sub(value, _USERINFO.sub(escaped, text))


def _anchor(data: dict[str, Any], folder: Path) -> None:
    """Let relative paths start from the file's own folder, wherever the program is started."""
    places = [data.get("defaults"), *_values(data.get("cameras"))]
    for settings in places:
        if not isinstance(settings, dict):
            continue
        for output in _list(settings.get("outputs")):
            if isinstance(output, dict):
                _anchor_keys(output, ("folder",), folder)
                _anchor_keys(output.get("curve"), ("secret_key", "clients"), folder)
        source = settings.get("source")
        if isinstance(source, str) and "://" not in source and not source.startswith("scene"):
            settings["source"] = str(folder / source)
    if isinstance(cluster := data.get("cluster"), dict):
        _anchor_keys(cluster.get("curve"), ("secret_key", "clients"), folder)
    model = data.get("model")
    if isinstance(model, str) and model.endswith(".onnx"):
        data["model"] = str(folder / model)


def _anchor_keys(settings: Any, keys: Sequence[str], folder: Path) -> None:
    if isinstance(settings, dict):
        for key in keys:
            if isinstance(settings.get(key), str):
                settings[key] = str(folder / settings[key])


def _values(data: Any) -> list[Any]:
    return list(data.values()) if isinstance(data, dict) else []


def _list(data: Any) -> list[Any]:
    return data if isinstance(data, list) else []


def _explain(lines: Mapping[Place, int], error: ValidationError) -> Iterator[tuple[int, str]]:
    """Give for every problem its line, and a sentence: key, what is wrong, what is allowed."""
    for problem in error.errors(include_url=False):
        place = _without_tags(problem["loc"], lines)
        line = next(
            lines[place[:length]] for length in range(len(place), -1, -1) if place[:length] in lines
        )
        key = _dotted(place) or "the configuration"
        yield line, f"{key}: {_said(problem, place)}"


def explain(error: ValidationError, shape: type[BaseModel]) -> list[str]:
    """Return a sentence for every problem of something that is in no file, such as a camera that
    was given over REST.

    Args:
        error: of it.
        shape: what it should be.
    """
    kinds = {model.model_fields["type"].default for model in _models_in(Output)}
    said = []
    for problem in error.errors(include_url=False):
        inner: Place = ()
        for step in problem["loc"]:  # pydantic puts the kind of an output between
            if not (step in kinds and inner and isinstance(inner[-1], int)):
                inner = (*inner, step)
        key = _dotted(inner)
        sentence = _said(problem, inner, shape)
        said.append(f"{key}: {sentence}" if key else sentence)
    return said


def _said(problem: Any, place: Place, root: type[BaseModel] = RunConfig) -> str:
    kind, message = problem["type"], str(problem["msg"])
    if kind == "extra_forbidden":
        allowed = sorted(_fields_at(root, place[:-1]))
        close = difflib.get_close_matches(str(place[-1]), allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed are {', '.join(allowed)}"
        return f"unknown key; {hint}"
    if kind == "missing":
        return "is missing"
    if kind == "string_pattern_mismatch" and place[:1] == ("cameras",):
        return "a camera's id is 1 to 64 letters, digits, dots, dashes and underscores"
    if kind.startswith("union_tag"):
        return f"type must be one of {problem['ctx'].get('expected_tags', 'zeromq, record, rtsp')}"
    if kind in PLAIN_WORDS:
        message = PLAIN_WORDS[kind].format(**problem.get("ctx", {}))
    message = message.removeprefix("Value error, ")
    found = problem.get("input")
    secret = place[-1:] and place[-1] in SECRET_KEYS
    if isinstance(found, str | int | float | bool) and kind != "value_error" and not secret:
        message += f", not {found!r}"
    return message[:1].lower() + message[1:]


def _fields_at(model: type[BaseModel], place: Place) -> set[str]:
    """Return the keys that are allowed at a place."""
    here: Any = model
    for step in place:
        if isinstance(here, type) and issubclass(here, BaseModel) and step in here.model_fields:
            here = here.model_fields[str(step)].annotation
        else:
            here = next(iter(_models_in(here)), None)
    return {name for found in _models_in(here) for name in found.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Give the models that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif isinstance(annotation, UnionType) or get_args(annotation):
        for part in get_args(annotation):
            yield from _models_in(part)


def _without_tags(loc: tuple[str | int, ...], lines: Mapping[Place, int]) -> Place:
    """Leave out the names of union members and of keys, which pydantic puts between."""
    place: Place = ()
    for step in loc:
        if (*place, step) in lines or step == loc[-1]:
            place = (*place, step)
    return tuple(step for step in place if step != "[key]")


def _dotted(place: Place) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
