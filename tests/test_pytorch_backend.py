"""PyTorch as the backend: the same results as ONNX Runtime, from safetensors, refused in words."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors_torch = pytest.importorskip("safetensors.torch")

from streamderain.cli import main  # noqa: E402
from streamderain.errors import ModelError, UsageError  # noqa: E402
from streamderain.inference.backend import VIDEO  # noqa: E402
from streamderain.inference.create import create_backend  # noqa: E402
from streamderain.inference.pytorch import PyTorchBackend, read_weights  # noqa: E402
from streamderain.models import available_models, resolve_model  # noqa: E402
from streamderain.networks.registry import build  # noqa: E402
from tests.clips import make_clip, picture, read_all  # noqa: E402
from tools.export_onnx import HALVED_ABOVE, write_weights  # noqa: E402

NAMES = [info.name for info in available_models()]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(48, 64), (41, 17), (1, 1)])
def test_it_gives_what_onnx_runtime_gives(name, size):
    frames = np.stack([picture(*size, index) for index in range(2)])
    with (
        create_backend(name, "cpu", "onnx", "float") as onnx,
        create_backend(name, "cpu", "torch") as pytorch,
    ):
        if onnx.inputs == VIDEO:  # some past, trusted here and there
            frames = np.concatenate([frames, frames[::-1], frames[..., :1]], axis=3)
        expected, found = onnx.run(frames), pytorch.run(frames)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_beside_a_graph_are_its_own(name):
    import onnx

    info = resolve_model(name)
    stored = {
        entry.key: entry.value
        for entry in onnx.load(info.path, load_external_data=False).metadata_props
    }
    with safetensors_torch.safe_open(info.path.with_suffix(".safetensors"), "pt") as weights:
        assert weights.metadata()["weights_sha256"] == stored["weights_sha256"]


def test_a_video_is_cleaned_with_it(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=4)
    target = tmp_path / "b.mp4"
    arguments = ["clean", str(clip), "-o", str(target), "-m", "attention-s", "--backend", "torch"]
    assert main(arguments) == 0
    assert len(read_all(target)[0]) == 4


@pytest.fixture
def weights(tmp_path):
    def write(name="attention-s", properties=None, network=None):
        path = tmp_path / "my.safetensors"
        torch.manual_seed(0)
        found = network or build(name)
        write_weights(found, path, {"network": name} if properties is None else properties)
        return path

    return write


def test_a_file_of_weights_is_enough(weights):
    frames = picture(32, 40)[None]
    with create_backend(str(weights())) as backend:
        assert isinstance(backend, PyTorchBackend)
        assert backend.run(frames).shape == frames.shape


def test_large_weights_are_kept_in_half_and_run_in_whole(weights):
    path = weights("attention-embedding")
    assert path.stat().st_size < HALVED_ABOVE
    _, loaded = read_weights(path)
    assert {value.dtype for value in loaded.values() if value.is_floating_point()} == {
        torch.float32
    }
    assert loaded["head.weight"].shape == (3, 32, 1, 1)


def refused(path, *more):
    with pytest.raises(ModelError) as caught:
        create_backend(str(path), *more)
    return str(caught.value)


def test_wrong_weights_for_a_network_are_a_sentence(weights):
    said = refused(weights(properties={"network": "attention-m"}))
    assert "doesn't fit the network attention-m" in said
    assert "\n" not in said


def test_weights_that_name_no_network_or_an_unknown_one_are_refused(weights):
    assert "doesn't say whose" in refused(weights(properties={}))
    assert "no network is named" in refused(weights(properties={"network": "drizzle"}))


def test_pickles_are_never_read(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    for name in ("my.safetensors", "my.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    assert "can't be read as safetensors" in refused(tmp_path / "my.safetensors")
    refused(tmp_path / "my.pt", "cpu", "torch")
    assert not (tmp_path / "exploded").exists()


def test_a_graph_without_weights_is_named(tmp_path):
    path = tmp_path / "my.onnx"
    path.write_bytes(resolve_model("attention-s").path.read_bytes())
    assert "has no weights for PyTorch" in refused(path, "cpu", "torch")


def test_backends_and_files_that_do_not_go_together(weights):
    with pytest.raises(UsageError, match="auto, onnx, openvino, tensorrt, torch"):
        create_backend("attention-s", "cpu", "jax")
    assert "leave --backend onnx out" in refused(weights(), "cpu", "onnx")
    if not torch.cuda.is_available():
        assert "CUDA was asked for" in refused(weights(), "cuda", "torch")


def test_a_closed_one_says_so(weights):
    backend = create_backend(str(weights()))
    backend.close()
    with pytest.raises(ModelError, match="was closed"):
        backend.run(picture(8, 8)[None])
