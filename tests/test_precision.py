"""What a network is computed in: bytes where the processor multiplies them."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from streamderain.errors import ModelError, UsageError
from streamderain.hardware import cpu_features
from streamderain.inference import create
from streamderain.inference.create import create_backend
from streamderain.inference.precision import multiplies_bfloats, multiplies_bytes
from streamderain.models import available_models, resolve_model
from tests.test_models import ship

VNNI = frozenset({"AVX2", "AVX512-VNNI"})


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder with a network that is there in 8 bits, and one that isn't."""
    given = resolve_model("attention-s").path.read_bytes()
    small = given  # what is in it doesn't matter here
    for name, changes in (
        ("both", {"int8": {"sha256": hashlib.sha256(small).hexdigest(), "validation": {}}}),
        ("plain", {}),
    ):
        ship(tmp_path, name, given, **changes)
    (tmp_path / "both.int8.onnx").write_bytes(small)
    monkeypatch.setattr("streamderain.models.models_folder", lambda: tmp_path)
    return tmp_path


def on(monkeypatch, features):
    monkeypatch.setattr(create, "features_here", lambda: frozenset(features))


def test_processors_that_multiply_bytes_are_known_by_their_features():
    xeon = "processor: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16\n"
    desktop, old = "flags\t: sse4_2 avx avx2\n", "flags\t: sse4_2 avx\n"
    arm, plain = "Features\t: fp asimd asimddp\n", "Features\t: fp asimd\n"
    for features in (xeon, desktop, arm):
        assert multiplies_bytes(cpu_features(features)[0])
    for features in (old, plain):
        assert not multiplies_bytes(cpu_features(features)[0])
    assert not multiplies_bytes(cpu_features("")[0])


def test_bfloat16_is_for_amx_and_for_amd():
    assert multiplies_bfloats({"AMX-BF16"}, "Intel(R) Xeon(R)")
    assert multiplies_bfloats({"AVX512-BF16"}, "AMD EPYC 9B14")
    assert not multiplies_bfloats({"AVX512-BF16"}, "Intel(R) Xeon(R)")
    assert not multiplies_bfloats(VNNI, "AMD EPYC")


@pytest.mark.parametrize("backend", ["auto", "onnx", "openvino"])
def test_eight_bits_are_taken_where_they_are_faster(shipped, monkeypatch, backend):
    if backend == "openvino":
        pytest.importorskip("openvino")
    for features, precision, taken in (
        (VNNI, "auto", True), (VNNI, "float", False), ((), "auto", False), ((), "int8", True),
    ):  # fmt: skip
        on(monkeypatch, features)
        with create_backend("both", "cpu", backend, precision) as made:
            assert made.name == "both"
            assert made.runtime.endswith(", int8") == taken
            assert made.model.path.name.endswith(".int8.onnx") == taken
            assert made.model.card is not None


def test_a_network_without_eight_bits_runs_in_floats_and_says_so_when_they_are_asked_for(
    shipped, monkeypatch
):
    on(monkeypatch, VNNI)
    with create_backend("plain", "cpu", "onnx") as made:
        assert made.model.path.name == "plain.onnx"
    with pytest.raises(ModelError, match="plain isn't shipped in 8 bits; leave"):
        create_backend("plain", "cpu", "onnx", "int8")


def test_a_file_in_eight_bits_that_was_changed_is_refused(shipped, monkeypatch):
    on(monkeypatch, VNNI)
    with (shipped / "both.int8.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match=r"both\.int8\.onnx is not the file that its card"):
        create_backend("both", "cpu", "onnx")


def test_files_in_eight_bits_are_no_models_of_their_own(shipped):
    assert [info.name for info in available_models(shipped)] == ["both", "plain"]


def test_a_precision_that_cannot_be_is_a_sentence(shipped):
    with pytest.raises(UsageError, match="auto, int8, float, not 'int4'"):
        create_backend("both", "cpu", "onnx", "int4")
    with pytest.raises(UsageError, match="8 bits run on the CPU"):
        create_backend("both", "cuda", "onnx", "int8")
    with pytest.raises(UsageError, match="8 bits run on the CPU"):
        create_backend("both", "cpu", "torch", "int8")


def test_what_ships_in_eight_bits_is_close_to_what_ships_in_floats():
    shipped = [info for info in available_models() if info.in_eight_bits() is not None]
    if not shipped:
        pytest.fail("no network ships in 8 bits")
    frames = np.random.default_rng(0).integers(0, 200, (2, 61, 83, 7), dtype=np.uint8)
    for info in shipped:
        for score in ("light", "heavy"):
            lost = info.card.validation[score].psnr_y - info.card.int8.validation[score].psnr_y
            assert lost <= 0.3
        results = []
        for precision in ("float", "int8"):
            with create_backend(info.name, "cpu", "onnx", precision) as made:
                given = np.ascontiguousarray(frames[..., : made.inputs])
                results.append(made.run(given).astype(int))
        assert np.abs(results[0] - results[1]).mean() < 3
        assert results[0].shape == results[1].shape
