"""What ``run`` logs, as text and as JSON, without secrets."""

import json
import logging

import pytest

from streamderain.errors import UsageError
from streamderain.logs import log_format, set_up_logging

SECRET = 'p"w\\d/ü'


@pytest.fixture
def log():
    root, ours = logging.getLogger(), logging.getLogger("streamderain")
    before = list(root.handlers), root.level, ours.level
    yield ours
    root.handlers[:], root.level = before[0], before[1]
    ours.setLevel(before[2])


def said(capsys):
    return capsys.readouterr().err.splitlines()


def test_lines_of_json_are_objects_with_what_was_said_and_given(log, capsys):
    set_up_logging(lambda text: text, log_format="json")
    log.info("%s: live", "gate", extra={"camera": "gate", "frames": 7})
    (line,) = said(capsys)
    found = json.loads(line)
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "info", "logger": "streamderain", "message": "gate: live", "camera": "gate",
        "frames": 7,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_secret_is_hidden_however_it_is_said(log, capsys, kind):
    set_up_logging(lambda text: text.replace(SECRET, "***"), log_format=kind)
    log.warning("refused: %s", SECRET)
    log.warning("x", extra={"one": SECRET, "deep": {"in": [SECRET]}, "odd": ValueError(SECRET)})
    try:
        raise RuntimeError(f"it was {SECRET}")
    except RuntimeError:
        log.exception("failed with %r", SECRET[:1])
    text = "\n".join(said(capsys))
    assert SECRET not in text
    for line in text.splitlines() if kind == "json" else []:
        assert SECRET not in str(json.loads(line))
    assert "***" in text
    assert "RuntimeError" in text


def test_a_traceback_stays_in_its_line(log, capsys):
    set_up_logging(lambda text: text, log_format="json")
    try:
        raise RuntimeError("a\nb")
    except RuntimeError:
        log.exception("failed\nbadly")
    (line,) = said(capsys)
    found = json.loads(line)
    assert found["message"] == "failed\nbadly"
    assert found["traceback"].endswith("RuntimeError: a\nb")


def test_there_are_two_formats():
    assert [log_format(name) for name in ("text", "json")] == ["text", "json"]
    with pytest.raises(UsageError, match="text or json, not 'xml'"):
        log_format("xml")


def test_what_a_library_puts_into_every_record_is_not_ours_to_tell(log, capsys):
    set_up_logging(lambda text: text, log_format="json")
    make = logging.getLogRecordFactory()

    def factory(*arguments, **more):
        record = make(*arguments, **more)
        record._ray_timestamp_ns = 1
        return record

    logging.setLogRecordFactory(factory)
    try:
        log.info("gate: live", extra={"camera": "gate"})
    finally:
        logging.setLogRecordFactory(make)
    (line,) = said(capsys)
    assert json.loads(line).keys() == {"time", "level", "logger", "message", "camera"}
