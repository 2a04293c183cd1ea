"""``streamderain bench``: what it measures, and what it says of it."""

import json
import time

import numpy as np
import pytest

from streamderain.bench.arithmetic import convolution_rates, precision_of
from streamderain.bench.cameras import measure_cameras
from streamderain.bench.footage import Footage
from streamderain.bench.results import BenchResult
from streamderain.bench.run import BenchOptions, run_bench
from streamderain.bench.stages import measure_inference, prepare, run_network
from streamderain.bench.telling import as_markdown, as_plain_text
from streamderain.cli import main
from streamderain.errors import ModelError
from streamderain.frame import pixels_of, size_of
from streamderain.inference.backend import VIDEO, NullBackend
from streamderain.inference.create import create_backend

TINY = ["--size", "96x64", "--seconds", "0.1", "--device", "cpu"]


def test_every_stage_of_a_network_is_measured_and_json_is_valid(capsys):
    floats = ["--precision", "float", "--batch", "2", "--json"]
    assert main(["bench", "--model", "attention-s", *TINY, *floats]) == 0
    found = BenchResult.model_validate_json(capsys.readouterr().out)
    assert (found.width, found.height, found.model, found.batch) == (96, 64, "attention-s", 2)
    assert [stage.name for stage in found.stages] == [
        "decode", "gauge", "stack", "infer", "encode",
    ]  # fmt: skip
    for stage in found.stages:
        assert stage.frames_a_call == (2 if stage.name in ("stack", "infer") else 1)
        assert stage.megapixels_per_second == pytest.approx(stage.frames_per_second * 96 * 64 / 1e6)
        assert 0 < stage.p50_ms <= stage.p95_ms
        assert stage.cpu_s_per_frame >= 0
    assert max(stage.of_the_slowest for stage in found.stages) == 1
    whole = found.together
    assert whole.derained == 1
    assert 0 < whole.p50_ms <= whole.p95_ms
    assert whole.overlap > 0
    slowest = min(stage.frames_per_second for stage in found.stages)
    assert whole.slowest_share == pytest.approx(whole.frames_per_second / slowest)
    assert whole.overhead_cpu_s_per_frame == pytest.approx(
        whole.cpu_s_per_frame - sum(stage.cpu_s_per_frame for stage in found.stages)
    )
    assert found.arithmetic.convolutions
    assert found.arithmetic.fraction > 0
    assert found.machine.cores >= 1
    assert {"streamderain", "Python", "FFmpeg"} <= found.machine.versions.keys()


def test_without_a_network_there_is_none_to_measure_but_all_the_rest(capsys):
    more = ["--cameras", "2", "--dry", "--against", "null"]
    assert main(["bench", "--model", "null", *TINY, *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [stage["name"] for stage in found["stages"]] == ["decode", "gauge", "encode"]
    assert found["arithmetic"] is None
    assert found["together"]["derained"] == 0
    assert found["dry"]["ratio"]["median"] > 0
    assert len(found["dry"]["ratio"]["pairs"]) == 3
    assert found["cameras"]["cameras"] == 2
    assert found["against"]["model"] == "null"
    assert len(found["against"]["infer"]["pairs"]) == 7
    for kind in ("infer", "together"):
        ratio = found["against"][kind]
        assert 0 < ratio["least"] <= ratio["median"] <= ratio["most"]


@pytest.mark.parametrize("form", [[], ["--markdown"]])
def test_people_are_told_everything_in_a_table(form, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    more = ["--cameras", "1", "--dry", "--against", "null", "--bitrate", "200k"]
    assert main(["bench", "--model", "null", *TINY, *more, *form]) == 0
    said = capsys.readouterr().out
    for words in (
        "null on cpu (none), 96x64, from 0.2 Mbit/s", "decode", "gauge", "encode", "together",
        "overlap", "Python",
        "Dry video", "1 camera at 25 frames/s", "Against null on cpu", "FFmpeg", "core",
    ):  # fmt: skip
        assert words in said
    if form:
        assert "| stage | frames/s |" in said
        assert "| --- | --: |" in said
    else:
        assert max(map(len, said.splitlines())) <= 120
        assert "|" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "big"], "size"),
        (["--cameras", "0"], "cameras"),
        (["--cameras", "65"], "cameras"),
        (["--fps", "never"], "rate"),
        (["--seconds", "0"], "seconds"),
        (["--device", "abacus"], "device"),
        (["--backend", "abacus"], "backend"),
        (["--precision", "abacus"], "precision"),
        (["--bitrate", "much"], "a bit rate is written like"),
        (["--against", "null:abacus"], "--against"),
        (["--markdown", "--json"], "choose one"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_sentence(options, words, capsys):
    assert main(["bench", "--model", "null", *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.startswith("error: ")
    assert len(said.splitlines()) <= 2


def test_a_rival_that_is_not_there_is_a_sentence(capsys):
    assert main(["bench", "--model", "null", *TINY, "--against", "sunshine"]) == 2
    assert "no model is named 'sunshine'" in capsys.readouterr().err


class Slow(NullBackend):
    """A network that takes a hundredth of a second for each frame."""

    name = "slow"
    took_s = 0.01

    def run(self, frames):
        time.sleep(self.took_s * len(frames))
        return frames[..., :3].copy()


class SlowVideo(Slow):
    """The same, of a network that knows the past."""

    inputs = VIDEO


def test_the_network_and_nothing_else_is_what_infer_measures(monkeypatch):
    monkeypatch.setattr("streamderain.bench.run.create_backend", lambda *_: Slow())
    options = BenchOptions("slow", height=48, width=64, seconds=0.3, batch=2)
    found = run_bench(options)
    infer = next(stage for stage in found.stages if stage.name == "infer")
    assert 40 < infer.frames_per_second <= 100
    assert infer.p50_ms >= 20
    assert infer.cpu_s_per_frame < 0.01
    assert found.together.frames_per_second <= 105
    assert found.together.derained == 1


def test_what_the_past_costs_is_not_the_networks_time():
    footage = Footage(48, 64)
    found = measure_inference(SlowVideo(), footage, batch=2, seconds=0.05)
    assert list(found.samples) == ["gauge", "prior", "stack", "infer"]
    assert found.samples["infer"].frame_s == pytest.approx(0.01, rel=0.5)
    assert found.frame_s == pytest.approx(sum(s.frame_s for s in found.samples.values()))
    assert len(found.cleaned) >= 1
    assert size_of(found.cleaned[0]) == (48, 64)


def test_what_is_decoded_can_be_as_small_as_a_camera_makes_it(tmp_path):
    plain, small = (
        Footage(192, 256, bitrate=bitrate).write(tmp_path / f"{bitrate}.mp4", 50).stat().st_size
        for bitrate in (None, 400_000)
    )
    assert 8 * small / 2 == pytest.approx(400_000, rel=0.3)  # two seconds
    assert small < plain / 2


def test_frames_are_prepared_with_what_is_known_of_them():
    footage = Footage(48, 64)
    assert [prior for _, prior in prepare(footage, 3)] == [None] * len(footage.pictures)
    known = prepare(footage, VIDEO)
    assert len(known) == len(footage.pictures)
    assert all(prior is not None and prior.frames > 2 for _, prior in known)
    run = run_network(Slow(), prepare(footage, 3), 5)
    assert np.array_equal(run(), [pixels_of(picture) for picture in footage.coded[:5]])


@pytest.mark.alone
def test_cameras_share_the_network_and_overload_passes():
    footage, backend = Footage(32, 48), Slow()
    few = measure_cameras(backend, footage, 2, 1.0, batch=4)
    assert few.asked_per_second == 25
    assert few.arrived_per_second == pytest.approx(50, rel=0.3)
    assert few.cleaned > 0.8
    assert few.p50_ms >= 10
    assert 1 <= few.mean_batch <= few.largest_batch <= 4
    many = measure_cameras(backend, footage, 8, 1.0, batch=4)
    assert many.cleaned_per_second <= 110
    assert many.cleaned < few.cleaned
    assert many.largest_batch > 1


class Broken(Slow):
    """A network that fails when it is needed."""

    runs = 0

    def run(self, frames):
        self.runs += 1
        if self.runs > 2:
            raise ModelError("the network broke")
        return frames.copy()


def test_a_network_that_fails_among_cameras_is_told():
    with pytest.raises(ModelError, match="broke"):
        measure_cameras(Broken(), Footage(32, 48), 1, 5.0)


@pytest.mark.parametrize("backend", ["onnx", "openvino", "torch"])
def test_convolutions_are_measured_through_the_runtime(backend):
    pytest.importorskip({"onnx": "onnxruntime"}.get(backend, backend))
    with create_backend("attention-s", "cpu", backend, "float") as network:
        rates = {rate.precision: rate.macs_per_second for rate in convolution_rates(network, 0.05)}
        assert precision_of(network) in rates
    assert all(rate > 1e8 for rate in rates.values())
    if backend != "torch":
        assert {"float32", "int8"} <= rates.keys()


def test_nothing_is_computed_by_what_is_no_network():
    assert convolution_rates(NullBackend(), 1.0) == []


def test_a_measurement_reads_back_as_it_was(monkeypatch):
    monkeypatch.setattr("streamderain.bench.run.create_backend", lambda *_: Slow())
    found = run_bench(BenchOptions("slow", height=32, width=48, seconds=0.05, batch=3))
    again = BenchResult.model_validate_json(found.model_dump_json())
    assert again == found
    assert as_plain_text(again) == as_plain_text(found)
    assert "infer (a batch)" in as_markdown(again)
