"""Networks on OpenVINO: what ONNX Runtime gives, faster; and what can be wrong with it."""

import sys

import numpy as np
import pytest

pytest.importorskip("openvino")

from streamderain.errors import ModelError, UsageError
from streamderain.inference import tiling
from streamderain.inference.backend import starts_ahead
from streamderain.inference.create import create_backend
from streamderain.inference.onnx import OnnxBackend
from streamderain.inference.openvino import OpenVinoBackend
from streamderain.inference.openvino_network import SHAPES_KEPT
from streamderain.models import resolve_model
from tests.graphs import network_file


def frames(shape, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*shape, channels), dtype=np.uint8)


@pytest.fixture(scope="module")
def pair():
    info = resolve_model("attention-s")
    with OnnxBackend(info) as onnx, OpenVinoBackend(info, precision="f32") as openvino:
        yield onnx, openvino


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 31, 47), (1, 64, 96), (3, 5, 70)])
def test_it_gives_what_onnx_runtime_gives(pair, shape):
    onnx, openvino = pair
    given = frames(shape)
    expected = onnx.run(given).astype(int)
    # With free sizes first, then compiled for this shape.
    for _ in range(3):
        assert np.abs(openvino.run(given) - expected).max() <= 1


@pytest.mark.parametrize("count", [2, 3, 7])
def test_frames_that_run_side_by_side_come_out_as_each_alone_and_in_order(count, monkeypatch):
    monkeypatch.setattr(tiling, "SMALL", 0)
    given = frames((count, 33, 48))
    with OpenVinoBackend(resolve_model("attention-s"), threads=2, precision="f32") as backend:
        assert backend.lanes == 2
        alone = [backend.run(given[index : index + 1])[0] for index in range(count)]
        for _ in range(2):
            together = backend.run(given)
            assert np.abs(together.astype(int) - np.stack(alone)).max() <= 1
        kept = together.copy()
        backend.run(given[::-1])
        assert np.array_equal(together, kept)
        assert len(backend._network._side_by_side) == 1
        backend.close()
        assert not backend._network._side_by_side
        with pytest.raises(ModelError, match="was closed"):
            backend.run(given)


@pytest.mark.parametrize("name", ["attention-s", "video-s"])
def test_a_batch_that_begins_before_one_is_done_changes_neither(name, monkeypatch):
    monkeypatch.setattr(tiling, "SMALL", 0)
    with OpenVinoBackend(resolve_model(name), threads=2, precision="f32") as backend:
        assert starts_ahead(backend)
        assert backend.can_start(2, 33, 48)
        assert not backend.can_start(1, 33, 48)
        batches = [frames((count, 33, 48), backend.inputs, count) for count in (3, 4, 2, 5)]
        backend.run(batches[0])  # compiled for this shape
        expected = [backend.run(batch) for batch in batches]
        begun = [backend.start(batch) for batch in batches]
        for finish, found in zip(begun, expected, strict=True):
            assert np.array_equal(finish(), found)
        # What nobody waits for any more harms nothing.
        backend.start(batches[0])
        assert np.array_equal(backend.run(batches[1]), expected[1])
        late = backend.start(batches[2])
        backend.close()
        assert np.array_equal(late(), expected[2])


def test_with_one_thread_there_is_one_lane():
    with OpenVinoBackend(resolve_model("attention-s"), threads=1) as backend:
        assert backend.lanes == 1
        assert not backend.can_start(4, 720, 1280)
        assert backend.run(frames((3, 16, 16))).shape == (3, 16, 16, 3)


def test_a_video_network_takes_seven_channels():
    info = resolve_model("video-m")
    given = frames((1, 40, 56), 7)
    with OnnxBackend(info) as onnx, OpenVinoBackend(info, precision="f32") as openvino:
        assert openvino.inputs == onnx.inputs == 7
        assert np.abs(openvino.run(given).astype(int) - onnx.run(given)).max() <= 1


def test_bfloat16_is_a_few_levels_apart(pair):
    onnx, _ = pair
    given = frames((1, 96, 128)) // 2
    with OpenVinoBackend(resolve_model("attention-s"), precision="bf16") as reduced:
        error = reduced.run(given).astype(int) - onnx.run(given)
    assert np.abs(error).max() <= 6
    assert 10 * np.log10(255**2 / np.mean(error.astype(float) ** 2)) > 46


def test_results_stay_what_they_were_when_the_next_run_comes(pair):
    _, openvino = pair
    first = openvino.run(frames((1, 16, 16), seed=1))
    kept = first.copy()
    openvino.run(frames((1, 16, 16), seed=2))
    assert np.array_equal(first, kept)


def test_networks_for_old_shapes_are_let_go(pair):
    _, openvino = pair
    for side in (8, 12, 16, 20, 24):
        for _ in range(2):
            openvino.run(frames((1, side, side)))
    assert len(openvino._network._compiled) == SHAPES_KEPT


def test_reduced_precision_needs_the_leave_of_the_card():
    with OpenVinoBackend(resolve_model("dualstage-narrow")) as backend:
        assert backend.precision == "f32"


def test_it_is_taken_where_it_is_installed(monkeypatch):
    with create_backend("attention-s", "cpu") as backend:
        assert backend.runtime.startswith("OpenVINO 20")
    with create_backend("attention-s", "cpu", "onnx") as backend:
        assert backend.runtime.startswith("ONNX Runtime ")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with create_backend("attention-s", "cpu") as backend:
        assert backend.runtime.startswith("ONNX Runtime ")
    with pytest.raises(ModelError, match=r"pip install 'streamderain\[openvino\]'"):
        create_backend("attention-s", "cpu", "openvino")


def test_it_runs_on_the_cpu_alone():
    with pytest.raises(UsageError, match="leave --device cuda or --backend openvino out"):
        create_backend("attention-s", "cuda", "openvino")


def test_what_is_no_model_is_a_sentence(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"this is no graph")
    with pytest.raises(
        ModelError, match=r"OpenVINO can't load .*broken\.onnx .* try --backend onnx"
    ):
        create_backend(str(path), "cpu", "openvino")


@pytest.mark.parametrize(
    ("dtype", "shape", "said"),
    [
        (np.float32, ["n", "h", "w", 3], "does not take uint8 frames"),
        (np.uint8, ["n", "h", "w", 4], "does not take uint8 frames"),
        (np.uint8, ["n", 32, "w", 3], "takes frames of a fixed size only"),
    ],
)
def test_graphs_of_another_shape_are_refused(tmp_path, dtype, shape, said):
    path = network_file(tmp_path / "other.onnx", dtype, shape)
    with pytest.raises(ModelError, match=said):
        create_backend(path, "cpu", "openvino")


def test_a_network_that_changes_the_size_is_refused(tmp_path):
    path = network_file(tmp_path / "turn.onnx", np.uint8, ["n", "h", "w", 3], op="Transpose")
    with (
        create_backend(path, "cpu", "openvino") as made,
        pytest.raises(ModelError, match="gives frames of another size"),
    ):
        made.run(frames((1, 4, 6)))


def test_what_openvino_cannot_load_goes_to_onnx_runtime(monkeypatch):
    def refuse(*more):
        raise ModelError("OpenVINO can't load it")

    monkeypatch.setattr("streamderain.inference.openvino.OpenVinoBackend", refuse)
    with create_backend("attention-s", "cpu") as backend:
        assert backend.runtime.startswith("ONNX Runtime")


def test_a_closed_one_says_so():
    backend = create_backend("attention-s", "cpu", "openvino")
    backend.close()
    backend.close()
    with pytest.raises(ModelError, match="attention-s was closed"):
        backend.run(frames((1, 8, 8)))


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "openvino"


def once(frames, **options):
    """Run frames in a backend of their own; say whether it read the graph."""
    with OpenVinoBackend(resolve_model("attention-s"), precision="f32", **options) as backend:
        return backend.run(frames), backend._network._graph is not None


def test_what_was_compiled_is_taken_from_the_cache_and_gives_the_same(cache):
    frames = np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), np.uint8)
    first, read = once(frames)
    assert read
    stored = {path.name for path in cache.iterdir()}
    assert len(stored) == 2  # the network for this shape, and how many channels it has
    again, read = once(frames)
    assert not read
    assert np.array_equal(first, again)
    other, read = once(frames[:, :32])  # of another shape
    assert read
    assert other.shape == (1, 32, 56, 3)
    once(frames, threads=1)
    assert len({path.name for path in cache.iterdir()} - stored) == 2


def test_a_damaged_cache_is_no_cache(cache):
    frames = np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), np.uint8)
    first, _ = once(frames)
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    again, read = once(frames)
    assert read
    assert np.array_equal(first, again)
    assert not once(frames)[1]  # it was written anew


def test_what_openvino_itself_does_not_take_is_compiled(cache, monkeypatch):
    from streamderain.inference.openvino_network import BlobCache

    frames = np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), np.uint8)
    first, _ = once(frames)
    monkeypatch.setattr(BlobCache, "load", lambda *_: b"whole, but of another making")
    assert np.array_equal(once(frames)[0], first)


def test_without_a_cache_it_runs_the_same(monkeypatch, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (1, 40, 56, 3), np.uint8)
    monkeypatch.setenv("STREAMDERAIN_CACHE", "off")
    first, _ = once(frames)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STREAMDERAIN_CACHE", str(tmp_path / "file"))
    assert np.array_equal(once(frames)[0], first)
