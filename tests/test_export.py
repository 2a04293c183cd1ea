"""From a checkpoint to an ONNX file."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
ort = pytest.importorskip("onnxruntime")

import streamderain  # noqa: E402
from streamderain.inference.create import create_backend  # noqa: E402
from streamderain.networks import attention, registry  # noqa: E402
from tools import export_onnx  # noqa: E402
from tools.export_onnx import main, reference, to_onnx  # noqa: E402
from tools.training.checkpoints import averaged_network, save_checkpoint  # noqa: E402

SMALL = attention.AttentionConfig(
    stride=2, widths=(8, 16), encoder=(1, 1), decoder=(1,), attention=(4,)
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of a network too small to be good, and its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BUILDERS, "tiny", lambda: attention.AttentionDerain(SMALL))
        torch.manual_seed(0)
        weights = registry.build("tiny").state_dict()
        state = {
            "recipe": {"network": "tiny"}, "network": weights, "ema": weights, "optimizer": {},
            "step": 17, "seconds": 1.0,
        }  # fmt: skip
        path = tmp_path_factory.mktemp("run") / "last.pt"
        save_checkpoint(state, path)
        yield state, path


@pytest.fixture(scope="module")
def exported(checkpoint):
    path = checkpoint[1].with_name("tiny.onnx")
    assert main([str(checkpoint[1]), "-o", str(path)]) == 0
    return path


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 1, 1), (3, 5, 30), (2, 64, 49)])
def test_the_graph_gives_what_pytorch_gives(checkpoint, exported, batch, height, width):
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    expected = reference(averaged_network(checkpoint[0]), frames)
    with create_backend(str(exported), "cpu") as backend:
        derained = backend.run(frames)
    assert np.abs(derained.astype(int) - expected).max() <= 1
    assert not np.array_equal(derained, frames)


def test_sizes_are_free_and_called_by_name(exported):
    session = ort.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    (frames,), (derained,) = session.get_inputs(), session.get_outputs()
    assert (frames.name, derained.name) == ("frames", "derained")
    assert frames.shape == derained.shape == ["batch", "height", "width", 3]
    assert frames.type == derained.type == "tensor(uint8)"


def test_the_file_says_what_it_is(checkpoint, exported):
    model = onnx.load(exported)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["name"] == "tiny"
    assert said["network"] == "tiny"
    assert said["version"] == streamderain.__version__
    assert said["training_steps"] == "17"
    count = sum(tensor.numel() for tensor in checkpoint[0]["ema"].values())
    assert said["parameters"] == str(count)
    assert float(said["macs_per_pixel"]) > 0
    assert len(said["weights_sha256"]) == 64
    assert said["licence"]
    assert model.opset_import[0].version == 18
    assert model.ir_version == 8


def test_the_file_tells_nothing_of_the_machine_that_made_it(exported):
    data = exported.read_bytes()
    assert b"site-packages" not in data
    assert b".py" not in data


def test_a_second_export_gives_the_same_bytes(checkpoint, exported):
    properties = export_onnx.properties_of(
        checkpoint[0], averaged_network(checkpoint[0]), exported.stem
    )
    model = to_onnx(averaged_network(checkpoint[0]), properties)
    assert model.SerializeToString(deterministic=True) == exported.read_bytes()


def test_a_graph_that_differs_from_pytorch_is_not_written(
    checkpoint, tmp_path, monkeypatch, capsys
):
    honest = export_onnx.reference

    def wrong(network, frames):
        result = honest(network, frames).copy()
        result[0, 0, 0, 0] ^= 64
        return result

    monkeypatch.setattr(export_onnx, "reference", wrong)
    target = tmp_path / "out" / "tiny.onnx"
    target.parent.mkdir()
    target.write_bytes(b"the old one")
    assert main([str(checkpoint[1]), "-o", str(target)]) == 1
    assert "differs from PyTorch by" in capsys.readouterr().err
    assert target.read_bytes() == b"the old one"
    assert [path.name for path in target.parent.iterdir()] == ["tiny.onnx"]


def test_a_missing_or_wrong_checkpoint_is_a_sentence(tmp_path, capsys):
    target = tmp_path / "x.onnx"
    prose, other = tmp_path / "prose.pt", tmp_path / "other.pt"
    prose.write_text("I am not a checkpoint")
    torch.save({"weights": torch.zeros(1)}, other)
    for path, said in (
        (tmp_path / "none.pt", "is not there"),
        (prose, "can't be read as a checkpoint"),
        (other, "is not a checkpoint that tools.train wrote"),
    ):
        assert main([str(path), "-o", str(target)]) == 1
        assert said in capsys.readouterr().err
    assert not target.exists()


def test_a_heavy_network_is_kept_in_half_its_size(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(export_onnx, "HALVED_ABOVE", 1000)
    monkeypatch.setattr(export_onnx, "HALVED_FROM", 64)
    whole, half = tmp_path / "whole" / "tiny.onnx", tmp_path / "half" / "tiny.onnx"
    for path in (whole, half):
        path.parent.mkdir()
    assert main([str(checkpoint[1]), "-o", str(half)]) == 0
    monkeypatch.undo()
    assert main([str(checkpoint[1]), "-o", str(whole)]) == 0
    kept = [tensor.data_type for tensor in onnx.load(half).graph.initializer]
    assert onnx.TensorProto.FLOAT16 in kept
    assert onnx.TensorProto.FLOAT in kept  # biases
    small, large = (sum(f.stat().st_size for f in path.parent.iterdir()) for path in (half, whole))
    assert small < 0.75 * large

    rounded = averaged_network(checkpoint[0])
    monkeypatch.setattr(export_onnx, "HALVED_ABOVE", 1000)
    monkeypatch.setattr(export_onnx, "HALVED_FROM", 64)
    export_onnx.round_weights(rounded)
    frames = np.random.default_rng(2).integers(0, 256, (1, 37, 50, 3), dtype=np.uint8)
    expected = reference(rounded, frames)
    for path in (half, half.with_suffix(".safetensors")):
        with create_backend(str(path), "cpu") as backend:
            assert np.abs(backend.run(frames).astype(int) - expected).max() <= 1
