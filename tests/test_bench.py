"""``streamderain bench``: each stage alone, then all together."""

import json

import pytest

from streamderain.bench import run_bench
from streamderain.cli import main
from streamderain.inference.backend import NullBackend


def test_every_stage_is_measured_on_frames_of_the_asked_size(capsys):
    arguments = ["--model", "null", "--size", "96x64", "--seconds", "0.5", "--json"]
    assert main(["bench", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["width"], found["height"], found["model"]) == (96, 64, "null")
    for stage in ("decode", "infer", "encode", "together"):
        assert found[stage] > 0
    slowest = min(found[stage] for stage in ("decode", "infer", "encode"))
    assert found["slowest_share"] == pytest.approx(found["together"] / slowest)
    assert found["cores"] >= 1
    assert found["cpu"]


class Slow(NullBackend):
    """A network that takes a hundredth of a second for each frame."""

    name = "slow"

    def run(self, frames):
        import time

        time.sleep(0.01 * len(frames))
        return frames.copy()


def test_the_network_is_what_infer_measures(monkeypatch):
    monkeypatch.setattr("streamderain.bench.create_backend", lambda *_: Slow())
    found = run_bench("slow", "cpu", 48, 64, seconds=0.5, batch=2)
    assert found.batch == 2
    assert 40 < found.infer <= 100
    assert found.together <= 105


def test_a_size_that_is_none_is_wrong_usage(capsys):
    assert main(["bench", "--size", "big"]) == 2
    assert "size" in capsys.readouterr().err
