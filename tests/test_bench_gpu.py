"""The measurements on GPUs, for their arithmetic: on the CPU, with tiny frames."""

import json
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from tests.fake_cuda import FakeRuntime  # noqa: E402
from tools import bench_gpu  # noqa: E402
from tools.bench_gpu import Card, Figure, main, markdown, measure, per_s  # noqa: E402

QUICK = ["--size", "64x48", "--seconds", "0.01", "--side", "64", "--device", "cpu"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(bench_gpu, "CHECKED", (32, 40))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for one another are slow on a busy machine
    yield
    torch.set_num_threads(threads)


def test_it_measures_and_writes_both_forms(tmp_path, capsys):
    target = tmp_path / "figures.json"
    names = ["video-m"]  # which takes seven channels
    arguments = [*names, *QUICK, "--batches", "1", "2", "--runtimes", "onnx", "torch"]
    assert main([*arguments, "--json", str(target)]) == 0
    found = json.loads(target.read_text(encoding="utf-8"))
    rows = [(row["model"], row["runtime"].split(":")[0], row["batch"]) for row in found["figures"]]
    assert rows == [(m, r, b) for m in names for r in ("onnx", "torch") for b in (1, 2)]
    for row in found["figures"]:
        assert row["failed"] is None
        assert row["worst"] <= 1
        assert row["alone"] > 0 < row["together"]
        assert min(row["share"], row["memory_share"], row["copies_share"]) > 0
    assert all(value for value in found["card"].values())
    printed = capsys.readouterr().out
    assert printed.count("\n| `") == len(rows)
    assert len({line.count("|") for line in printed.splitlines() if line.startswith("|")}) == 1


def test_what_fails_is_a_row_and_not_the_end():
    rows = measure("torch", _info(), "cuda", (48, 64), [1], 0.01, Card("none"))
    rows += measure("onnx", _info(), "cuda", (48, 64), [1], 0.01, Card("none"))
    assert [row.failed is not None for row in rows] == [True, True]
    assert "CUDA was asked for" in markdown(Card("none"), rows, "64x48")


@pytest.mark.parametrize("runtime", ["onnx", "onnx-float32", "onnx-no-graphs"])
def test_on_a_gpu_that_is_played(monkeypatch, runtime):
    fake = FakeRuntime()
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    card = Card("played", matmul_tflops=2.0)
    rows = measure(runtime, _info(), "cuda", (48, 64), [1, 2], 0.01, card)
    assert [(row.failed, row.batch) for row in rows] == [(None, 1), (None, 2)]
    assert ("float32" in rows[0].runtime) == (runtime == "onnx-float32")
    assert any(number > 0 for number, _ in fake.runs) == (runtime != "onnx-no-graphs")
    for row in rows:
        assert row.share == pytest.approx(row.tflops / 2.0)
        macs = _info().card.macs_per_pixel
        assert row.tflops == pytest.approx(2 * macs * 48 * 64 * row.alone / 1e12)


def test_what_a_runtime_raises_where_it_is_measured_alone_is_a_row(monkeypatch):
    from streamderain.inference.cuda import CudaBackend

    def alone(self, shape):
        raise RuntimeError("CUDA failure 2:\nout of memory")

    monkeypatch.setitem(sys.modules, "onnxruntime", FakeRuntime())
    monkeypatch.setattr(CudaBackend, "alone", alone)
    (row,) = measure("onnx", _info(), "cuda", (48, 64), [1], 0.01, Card("played"))
    assert (row.batch, row.failed) == (1, "RuntimeError: CUDA failure 2: out of memory")


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(bench_gpu, "_gpu_memory_mb", lambda: None)
    assert main(["attention-s", *QUICK[:-1], "cuda"]) == 2
    assert "no NVIDIA driver" in capsys.readouterr().err
    assert main(["attention-s", *QUICK, "--runtimes", "tensorrt"]) == 1
    assert "tensorrt is for GPUs" in capsys.readouterr().out


def test_a_rate_is_that_of_the_median():
    calls = []
    assert per_s(lambda: calls.append(1), 0.0, warm=2) > 1000
    assert len(calls) == 5


def test_what_was_not_measured_is_a_dash():
    rows = [Figure("m", "onnx", 1, alone=10.0, together=8.0)]
    printed = markdown(Card("a card"), rows, "64x48")
    assert "– TFLOP/s" in printed
    assert "| – | – | – | – | – |" in printed


def test_traffic_is_that_of_every_convolution():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(3, 8, 2, stride=2), torch.nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.second(self.first(x))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamderain.inference.pytorch.load_network", lambda info: Two())
        assert bench_gpu.traffic(_info()) == 2 * (3 + 8 / 4 + 8 / 4 + 4 / 4)


def _info():
    return bench_gpu.resolve_model("attention-s")
