"""Running networks on ONNX Runtime."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from streamderain import metrics
from streamderain.errors import ModelError, ModelMemoryError, UsageError
from streamderain.inference.backend import NullBackend
from streamderain.inference.create import create_backend
from streamderain.inference.onnx import OnnxBackend, PlanesSession, session_options
from streamderain.inference.prior import no_prior
from streamderain.inference.running import derain
from streamderain.models import available_models, resolve_model
from streamderain.rain.streaks import RainConfig, RainField
from tests.coded import coded
from tests.graphs import network_file

MODEL = "attention-m"


@pytest.fixture(scope="module")
def backend():
    with create_backend(MODEL, "cpu", "onnx", "float") as made:
        yield made


def noise(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def scene(height, width):
    """A smooth scene with a few edges."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    picture = np.stack([80 + 60 * y, 90 + 40 * x, 100 + 30 * (x - y)], axis=-1)
    picture[height // 2 :, width // 3 : width // 2] += 40
    return picture.astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 9), (7, 8), (8, 8), (9, 23), (33, 17), (96, 130)]
)
def test_any_size_comes_out_as_it_went_in(backend, height, width):
    frames = noise(1, height, width)
    derained = backend.run(frames)
    assert derained.shape == frames.shape
    assert derained.dtype == np.uint8


def test_frames_of_a_batch_do_not_mix(backend):
    frames = noise(3, 40, 56)
    together = backend.run(frames)
    alone = np.concatenate([backend.run(frames[n : n + 1]) for n in range(3)])
    assert np.abs(together.astype(int) - alone).max() <= 1


def test_the_input_is_left_alone(backend):
    frames = noise(1, 24, 24)
    before = frames.copy()
    backend.run(frames)
    assert np.array_equal(frames, before)


@pytest.mark.parametrize("name", [info.name for info in available_models()])
def test_every_shipped_model_takes_rain_away_and_leaves_dry_pictures(name):
    clean = scene(160, 208)
    rain = RainField(160, 208, RainConfig(density=4000, brightness=0.8), seed=3).layer()
    rainy = np.minimum(clean + 255 * rain[..., None], 255).astype(np.uint8)
    with create_backend(name, "cpu", "onnx") as made:
        derained, dry = derain(made, [rainy, clean])
    assert metrics.psnr(derained, clean) > metrics.psnr(rainy, clean) + 3
    assert metrics.psnr(dry, clean) > 40


def test_the_null_model_gives_back_a_copy():
    frames = noise(2, 5, 7)
    with create_backend("null") as made:
        assert isinstance(made, NullBackend)
        derained = made.run(frames)
    assert np.array_equal(derained, frames)
    assert not np.shares_memory(derained, frames)


def test_a_backend_says_what_it_runs_on(backend):
    assert (backend.name, backend.device, backend.notes) == (MODEL, "cpu", ())
    assert backend.model == resolve_model(MODEL)


def test_a_closed_backend_refuses():
    made = create_backend(MODEL, "cpu", "onnx")
    made.close()
    made.close()
    with pytest.raises(ModelError, match="was closed"):
        made.run(noise(1, 8, 8))


def test_frames_that_do_not_fit_are_a_sentence(backend):
    with pytest.raises(ModelError, match=r"attention-m failed on frames of 8x8 \(batch 1\)"):
        backend.run(noise(1, 8, 8).astype(np.float32))


def test_an_unknown_device_is_wrong_usage():
    with pytest.raises(UsageError, match="auto, cpu or cuda, not 'tpu'"):
        create_backend(MODEL, "tpu")


def test_a_file_that_is_no_onnx_is_a_sentence(tmp_path):
    path = tmp_path / "prose.onnx"
    path.write_text("I am not a network")
    with pytest.raises(ModelError, match=r"prose\.onnx can't be loaded as an ONNX model") as caught:
        create_backend(str(path), "cpu", "onnx")
    assert "\n" not in str(caught.value)


def test_without_a_runtime_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install 'streamderain\[cpu\]'.*\[cuda\]"):
        create_backend(MODEL, backend="onnx")


def test_a_network_of_ones_own_runs(tmp_path):
    path = network_file(tmp_path / "same.onnx", np.uint8, ["n", "h", "w", 3])
    frames = noise(2, 6, 5)
    with create_backend(path, "cpu", "onnx") as made:
        assert np.array_equal(made.run(frames), frames)


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [
        (np.float32, ["n", "h", "w", 3]),
        (np.uint8, ["n", 3, "h", "w"]),
        (np.uint8, ["n", "h", "w", 1]),
        (np.uint8, ["h", "w", 3]),
    ],
)
def test_a_network_of_another_shape_is_refused(tmp_path, dtype, shape):
    path = network_file(tmp_path / "odd.onnx", dtype, shape)
    with pytest.raises(ModelError, match="does not take uint8 frames N×H×W×3"):
        create_backend(path, "cpu", "onnx")


def test_a_network_of_one_size_is_refused(tmp_path):
    path = network_file(tmp_path / "fixed.onnx", np.uint8, [1, 256, 256, 3])
    with pytest.raises(ModelError, match="frames of a fixed size only"):
        create_backend(path, "cpu", "onnx")


def test_a_network_that_changes_the_size_is_refused(tmp_path):
    path = network_file(tmp_path / "turn.onnx", np.uint8, ["n", "h", "w", 3], op="Transpose")
    with (
        create_backend(path, "cpu", "onnx") as made,
        pytest.raises(ModelError, match="gives frames of another size"),
    ):
        made.run(noise(1, 4, 6))


def test_the_number_of_threads_changes_nothing(backend):
    frames = noise(1, 48, 64)
    with OnnxBackend(resolve_model(MODEL), threads=1) as single:
        difference = np.abs(single.run(frames).astype(int) - backend.run(frames)).max()
    assert difference <= 1


def test_a_network_runs_without_telling_anybody(tmp_path):
    script = (
        "from streamderain.inference.create import create_backend\n"
        f"create_backend({MODEL!r}, 'cpu', 'onnx', 'float').close()\n"
    )
    here = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    told = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", script], env=told | here, check=True)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert not left, "no identifier of this machine, and no events to be sent"


@pytest.fixture
def planar():
    with create_backend("video-xxs", "cpu", "onnx", "int8") as made:
        yield made


def test_pictures_as_codecs_hold_them_can_fail_as_others_do(planar, monkeypatch):
    def full(*_):
        raise RuntimeError("bad allocation: Failed to allocate memory")

    given = [coded(np.full((36, 64, 3), 90, np.uint8))]
    priors = [no_prior(given[0])]
    monkeypatch.setattr(planar._planes, "_session", SimpleNamespace(run=full))
    with pytest.raises(ModelMemoryError, match=r"video-xxs ran out of memory on frames of 64x36"):
        planar.run_planes(given, priors)
    planar.close()
    with pytest.raises(ModelError, match="was closed"):
        planar.run_planes(given, priors)


def test_a_graph_for_rgb_is_not_taken_for_one_of_planes():
    import onnxruntime as ort

    with pytest.raises(ModelError, match="isn't a graph for pictures as codecs hold them"):
        PlanesSession(ort, resolve_model("video-xxs"), session_options(ort))
