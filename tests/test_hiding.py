"""The configuration as it may be shown."""

import json

import yaml

from streamderain.config import RunConfig
from streamderain.live.hiding import plain_config

CURVE = {"secret_key": "keys/server.key_secret"}

WHOLE = {
    "service": {"token": "t0ken-of-the-house-0123456789"},
    "defaults": {"user": "keeper", "password": "hunter2"},
    "cameras": {
        "gate": {"source": "rtsp://10.0.0.5/live"},
        "yard": {"source": "rtsp://me:pass%2Fword1@10.0.0.6/live"},
        "token": {
            "source": "http://10.0.0.7/?channel=1&authcode=x9y8",
            "outputs": [
                {"type": "rtsp", "address": "rtsp://pub:rtsp5ecret@10.0.0.8/{camera}"},
                {"type": "rtsp", "address": "rtsp://10.0.0.8/x", "password": "0utput"},
                {
                    "type": "zeromq",
                    "address": "tcp://127.0.0.1:5556",
                    "curve": {"secret_key": "keys/server.key_secret"},
                },
            ],
        },
    },
}


def test_it_holds_all_keys_and_no_secret():
    config = RunConfig.model_validate(WHOLE)
    shown = plain_config(config)
    text = json.dumps(shown)
    for secret in (
        "t0ken", "keeper", "hunter2", "pass%2F", "word1", "x9y8", "rtsp5ecret", "0utput",
    ):  # fmt: skip
        assert secret not in text, secret
    assert yaml.safe_load(yaml.safe_dump(shown)) == shown
    assert shown["cameras"]["token"]["source"] == "http://10.0.0.7/?channel=1&authcode=***"
    assert shown["cameras"]["token"]["outputs"][2]["curve"]["secret_key"] == (
        "keys/server.key_secret"
    )
    assert shown["cameras"]["gate"]["password"] == shown["service"]["token"] == "***"
    assert shown["cameras"]["yard"]["stall"] == 5.0
    assert shown["model"] == config.model


def test_what_is_not_set_is_shown_as_such():
    shown = plain_config(RunConfig.model_validate({"cameras": {"a": {"source": "scene"}}}))
    assert shown["cameras"]["a"]["password"] is None
    assert shown["service"] is None
