"""Networks on a GPU by ONNX Runtime, played by the CPU: all but its arithmetic."""

import sys

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from streamderain.errors import ModelError, UsageError
from streamderain.inference.backend import VIDEO
from streamderain.inference.create import create_backend
from streamderain.inference.cuda import CudaBackend
from streamderain.inference.onnx import OnnxBackend
from streamderain.inference.running import derain, portions_for
from streamderain.models import available_models, resolve_model
from tests.clips import picture
from tests.fake_cuda import CPU, CUDA, TENSORRT, FakeRuntime, FakeValue
from tests.graphs import network_file

MODEL = "attention-s"


@pytest.fixture
def runtime(monkeypatch):
    def install(**behaviour):
        fake = FakeRuntime(**behaviour)
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        return fake

    return install


def frames_for(backend, count, height=40, width=56):
    frames = np.stack([picture(height, width, index) for index in range(count)])
    if backend.inputs == VIDEO:
        frames = np.concatenate([frames, frames[::-1], frames[..., :1]], axis=3)
    return frames


def expected(name, frames):
    with OnnxBackend(resolve_model(name)) as whole:
        return whole.run(frames).astype(int)


@pytest.mark.parametrize("name", [info.name for info in available_models()])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_network_gives_what_it_gives_on_the_cpu(runtime, name, count):
    runtime()
    with create_backend(name, "cuda", "onnx") as made:
        assert isinstance(made, CudaBackend)
        frames = frames_for(made, count)
        before = frames.copy()
        for _ in range(4):  # plain, plain, recorded, replayed
            derained = made.run(frames)
            assert derained.dtype == np.uint8
            assert np.abs(derained - expected(name, frames)).max() <= 1
    assert np.array_equal(frames, before)


def test_it_says_what_it_runs_on(runtime):
    runtime()
    with create_backend(MODEL, "cuda", "onnx") as made:
        assert (made.name, made.device, made.notes) == (MODEL, "cuda", ())
        assert made.runtime == "ONNX Runtime 1.32.0, CUDA, float16"
    with CudaBackend(resolve_model(MODEL), half=False) as made:
        assert made.runtime == "ONNX Runtime 1.32.0, CUDA, float32"
    with create_backend("dualstage-narrow", "cuda", "onnx") as made:  # it sorts
        assert made.runtime.endswith("float32")


def test_batches_run_in_few_sizes_and_each_is_recorded_once(runtime):
    fake = runtime()
    with create_backend(MODEL, "cuda", "onnx") as made:
        for count in (1, 2, 3, 4) * 6:
            made.run(frames_for(made, count))
    assert {shape[0] for _, shape in fake.runs} == {1, 2, 4}
    numbers = {shape[0]: [n for n, s in fake.runs if s == shape] for _, shape in fake.runs}
    for size, found in numbers.items():
        assert found[:2] == [-1, -1], size
        assert len(set(found[2:])) == 1
        assert found[2] >= 1
    assert len({found[2] for found in numbers.values()}) == 3


def test_memory_of_the_gpu_is_kept_for_each_shape(runtime):
    runtime()
    with create_backend(MODEL, "cuda", "onnx") as made:
        made.run(frames_for(made, 3))
        before = FakeValue.made
        for _ in range(5):
            made.run(frames_for(made, 3))
            made.run(frames_for(made, 4))
        assert FakeValue.made == before
        for width in range(20, 40):  # ever other sizes are not kept
            made.run(frames_for(made, 1, 16, width))
        assert len(made._lanes) <= 6


@pytest.mark.parametrize("where", ["opening", "recording"])
def test_where_graphs_can_not_be_recorded_it_runs_without(runtime, where):
    fake = runtime(refuses_graphs=where)
    with create_backend(MODEL, "cuda", "onnx") as made:
        frames = frames_for(made, 2)
        for _ in range(5):
            assert np.abs(made.run(frames) - expected(MODEL, frames)).max() <= 1
        assert not made.graphs
    assert [number for number, _ in fake.runs if number != -1] == [1] * (where == "recording")


def test_memory_that_runs_out_makes_smaller_runs(runtime):
    fake = runtime(pixels=2 * 120 * 160)
    with create_backend(MODEL, "cuda", "onnx") as made:
        pictures, portions = list(frames_for(made, 7, 120, 160)), portions_for(made)
        for _ in range(3):
            derained = derain(made, pictures, portions=portions)
            assert np.abs(derained - expected(MODEL, np.stack(pictures))).max() <= 1
        tried = len(fake.runs)
        derain(made, pictures, portions=portions)
        assert all(shape[0] <= 2 for _, shape in fake.runs[tried:])


def test_memory_that_runs_out_in_recording_makes_smaller_runs_and_graphs_stay(runtime):
    fake = runtime(recorded_pixels=120 * 160)
    with create_backend(MODEL, "cuda", "onnx") as made:
        pictures, portions = list(frames_for(made, 2, 120, 160)), portions_for(made)
        for _ in range(6):
            derained = derain(made, pictures, portions=portions)
            assert np.abs(derained - expected(MODEL, np.stack(pictures))).max() <= 1
        assert made.graphs
        assert set(made._lanes) == {(1, 120, 160, 3)}  # what was not recorded is let go
    assert fake.runs[-1][0] > 0


def test_a_graph_that_can_not_be_opened_in_half_is_opened_in_whole(runtime, caplog):
    fake = runtime(refuses_half=True)
    with create_backend(MODEL, "cuda", "onnx") as made:
        assert made.runtime.endswith("float32")
        assert made.graphs
        frames = frames_for(made, 2)
        assert np.array_equal(made.run(frames), expected(MODEL, frames))
    assert len(fake.sessions) == 1
    assert "can't be opened in 16-bit floats" in caplog.text


def test_without_onnx_it_computes_in_whole_and_says_so(runtime, monkeypatch):
    runtime()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with create_backend(MODEL, "cuda", "onnx") as made:
        assert made.runtime.endswith("float32")
        assert "pip install onnx" in made.notes[0]


def test_auto_takes_cuda_where_it_works(runtime):
    runtime()
    assert create_backend(MODEL, "auto", "onnx").device == "cuda"
    assert create_backend(MODEL, "auto").device == "cuda"


@pytest.mark.parametrize("behaviour", [{"works": [CPU]}, {"leaves_to_cpu": True}])
def test_auto_falls_back_to_the_cpu_and_says_so_once(runtime, capsys, behaviour):
    runtime(**behaviour)
    made = create_backend(MODEL, "auto", "onnx")
    assert made.device == "cpu"
    (note,) = made.notes
    assert note.endswith("Everything runs on the CPU.")
    assert "could not start CUDA" in note or "leaves 1 convolutions" in note
    assert capsys.readouterr().out == ""  # standard output may be carrying video
    frames = frames_for(made, 1)
    assert np.array_equal(made.run(frames), expected(MODEL, frames))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"works": [CPU]}, "could not start CUDA.*or use --device cpu"),
        ({"built_with": [CPU]}, "built without it"),
        ({"leaves_to_cpu": True}, "to the CPU; its build does not fit this GPU"),
    ],
)
def test_asking_for_cuda_never_ends_on_the_cpu(runtime, behaviour, said):
    runtime(**behaviour)
    with pytest.raises(ModelError, match=said):
        create_backend(MODEL, "cuda", "onnx")


def test_auto_falls_back_on_any_error_of_opening(runtime, monkeypatch):
    fake = runtime()

    def refuse(*_):
        raise RuntimeError("CUDA failure 35: driver version is insufficient")

    monkeypatch.setattr("tests.fake_cuda.FakeSession", refuse)
    made = create_backend(MODEL, "auto", "onnx")
    assert (made.device, fake.sessions) == ("cpu", [])
    (note,) = made.notes
    assert "driver version is insufficient. Everything runs on the CPU." in note
    with pytest.raises(ModelError, match="insufficient"):
        create_backend(MODEL, "cuda", "onnx")


def test_asking_for_the_cpu_does_not_touch_cuda(runtime):
    fake = runtime()
    made = create_backend(MODEL, "cpu", "onnx")
    assert fake.sessions == []
    assert (made.device, made.notes) == ("cpu", ())


def test_tensorrt_runs_where_it_is_there_and_keeps_its_engines(runtime, monkeypatch, tmp_path):
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path / "kept"))
    fake = runtime(built_with=[TENSORRT, CUDA, CPU])
    with create_backend(MODEL, "auto", "tensorrt") as made:
        frames = frames_for(made, 3)
        assert np.abs(made.run(frames) - expected(MODEL, frames)).max() <= 1
        assert made.runtime == "ONNX Runtime 1.32.0, TensorRT, float16"
    (name, options), *rest = fake.sessions[0].providers
    assert name == TENSORRT
    assert options["trt_engine_cache_path"] == str(tmp_path / "kept" / "tensorrt")
    assert [other for other, _ in rest] == [CUDA, CPU]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({}, "TensorRT was asked for but this ONNX Runtime is built without it"),
        ({"built_with": [CPU]}, "built without it"),
        (
            {"built_with": [TENSORRT, CUDA, CPU], "works": [CUDA, CPU]},
            "could not start TensorRT; run: pip install tensorrt, or leave --backend tensorrt out",
        ),
    ],
)
def test_tensorrt_is_taken_or_refused_in_words(runtime, behaviour, said):
    runtime(**behaviour)
    with pytest.raises(ModelError, match=said):
        create_backend(MODEL, "auto", "tensorrt")


def test_tensorrt_and_the_cpu_do_not_go_together():
    with pytest.raises(UsageError, match="TensorRT runs on NVIDIA GPUs"):
        create_backend(MODEL, "cpu", "tensorrt")


def test_what_is_no_network_is_refused_as_on_the_cpu(runtime, tmp_path):
    runtime()
    path = tmp_path / "prose.onnx"
    path.write_text("I am not a network")
    with pytest.raises(ModelError, match="can't be loaded as an ONNX model"):
        create_backend(str(path), "cuda", "onnx")
    fixed = network_file(tmp_path / "fixed.onnx", np.uint8, [1, 256, 256, 3])
    with pytest.raises(ModelError, match="frames of a fixed size only"):
        create_backend(fixed, "cuda", "onnx")
    turning = network_file(tmp_path / "turn.onnx", np.uint8, ["n", "h", "w", 3], op="Transpose")
    with create_backend(turning, "cuda", "onnx") as made, pytest.raises(ModelError, match="failed"):
        made.run(frames_for(made, 1))


def test_a_closed_one_says_so(runtime):
    runtime()
    made = create_backend(MODEL, "cuda", "onnx")
    made.close()
    made.close()
    with pytest.raises(ModelError, match="was closed"):
        made.run(np.zeros((1, 8, 8, 3), np.uint8))
