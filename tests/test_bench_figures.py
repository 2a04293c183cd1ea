"""From times to figures: no clock runs here."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.bench.arithmetic import arithmetic_of
from streamderain.bench.cameras import Seen, cameras_of
from streamderain.bench.figures import (
    Sample,
    overlap_of,
    quantile,
    ratio_of,
    stages_of,
    together_of,
)
from streamderain.bench.footage import to_and_fro
from streamderain.bench.graph import chain_graph, chain_macs
from streamderain.bench.measuring import measure, take_turns
from streamderain.bench.results import ConvolutionRate
from streamderain.bench.rivals import Rival, parse_rival
from streamderain.errors import UsageError
from streamderain.inference.backend import NullBackend
from streamderain.models import available_models

TIMES = st.lists(st.floats(0.001, 10), min_size=1, max_size=50)


def test_a_quantile_is_one_of_the_values_that_so_many_do_not_exceed():
    values = [5.0, 1.0, 3.0, 2.0, 4.0]
    assert quantile(values, 0.5) == 3.0
    assert quantile(values, 0.95) == 5.0
    assert quantile(values, 0.2) == 1.0
    assert quantile([7.0], 0.95) == 7.0


@given(values=TIMES, share=st.floats(0.01, 1))
def test_no_fewer_than_the_share_are_at_most_the_quantile(values, share):
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values)


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.5)])
def test_a_quantile_of_nothing_is_refused(values, share):
    with pytest.raises(ValueError, match="quantile"):
        quantile(values, share)


def test_stages_are_told_by_frame_and_against_the_slowest():
    samples = {
        "decode": Sample(100, 1.0, 1.5, [0.01] * 100),
        "infer": Sample(40, 2.0, 3.6, [0.1] * 19 + [0.3]),
    }
    decode, infer = stages_of(samples, 100, 200, 2, batched=("infer",))
    assert (decode.frames_a_call, infer.frames_a_call) == (1, 2)
    assert decode.frames_per_second == pytest.approx(100)
    assert decode.megapixels_per_second == pytest.approx(2)
    assert decode.cpu_s_per_frame == pytest.approx(0.015)
    assert decode.of_the_slowest == pytest.approx(0.2)
    assert (infer.of_the_slowest, infer.frames_per_second) == (1, pytest.approx(20))
    assert (infer.p50_ms, infer.p95_ms) == (pytest.approx(100), pytest.approx(100))


@pytest.mark.parametrize(
    ("together_s", "cores", "overlap"),
    [
        (0.05, 4, 1.0),  # as fast as the slowest stage
        (0.075, 4, 1.5),
        (0.1, 1, 1.0),  # one core has all the work to do
        (0.06, 2, 1.2),
    ],
)
def test_overlap_is_1_where_stage_or_cores_allow_no_more(together_s, cores, overlap):
    stages = [Sample(1, 0.05, 0.06, [0.05]), Sample(1, 0.04, 0.04, [0.04])]
    together = Sample(10, 10 * together_s, 1.0, [0.2] * 10)
    assert overlap_of(together, stages, cores) == pytest.approx(overlap)


def test_the_overhead_is_what_no_stage_needs():
    stages = {"decode": Sample(10, 0.1, 0.2, [0.01]), "encode": Sample(5, 0.2, 0.3, [0.04])}
    together = Sample(20, 1.0, 2.0, [0.3, 0.4])
    found = together_of(together, stages, 100, 100, 2, derained=15)
    assert found.overhead_cpu_s_per_frame == pytest.approx(0.1 - 0.02 - 0.06)
    assert found.slowest_share == pytest.approx(0.8)
    assert found.derained == 0.75
    assert found.p95_ms == pytest.approx(400)


def test_ratios_are_of_neighbours_and_say_how_much_faster_the_first_is():
    found = ratio_of([1.0, 2.0, 1.0], [2.0, 4.4, 1.9])
    assert found.pairs == pytest.approx([2.0, 2.2, 1.9])
    assert (found.median, found.least, found.most) == pytest.approx((2.0, 1.9, 2.2))


def test_a_machine_that_slows_down_meets_both():
    slow = itertools.count(1)
    first, second = take_turns([lambda: 1.0 * next(slow), lambda: 2.0 * next(slow)], 4)
    assert first == [1, 3, 5, 7]
    assert second == [4, 8, 12, 16]


class Time:
    """A clock that the work itself moves on."""

    def __init__(self):
        self.now = 0.0

    def step(self):
        self.now += 0.25
        return 2

    def __call__(self):
        return self.now


def test_calls_are_measured_until_the_time_is_over_and_what_is_left_counts_in_the_whole():
    time = Time()

    def finish():
        time.now += 1.0

    found = measure(time.step, 2.0, warm=3, finish=finish, wall=time, cpu=lambda: 2 * time.now)
    assert found.frames == 16
    assert found.calls_s == [0.25] * 8
    assert found.wall_s == pytest.approx(3.0)
    assert found.cpu_s == pytest.approx(6.0)


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 4), (1000.0, 20)])
def test_so_many_calls_at_least_and_at_most(seconds, calls):
    time = Time()
    found = measure(time.step, seconds, least=4, most=20, wall=time, cpu=time)
    assert len(found.calls_s) == calls


def test_frames_are_played_to_and_fro_without_a_jump():
    assert "".join(itertools.islice(to_and_fro("abcd"), 10)) == "abcdcbabcd"
    assert "".join(itertools.islice(to_and_fro("ab"), 4)) == "abab"
    assert "".join(itertools.islice(to_and_fro("a"), 3)) == "aaa"


@pytest.mark.parametrize(
    ("text", "rival"),
    [
        ("video-s", Rival("video-s", "onnx", "float")),
        ("video-s:openvino", Rival("video-s", "openvino", "float")),
        ("video-s:openvino:int8", Rival("video-s", "openvino", "int8")),
        ("video-s::int8", Rival("video-s", "onnx", "int8")),
        ("video-s:", Rival("video-s", "onnx", "float")),
        ("a:b/my.onnx", Rival("a:b/my.onnx", "onnx", "float")),
        ("my.onnx:torch", Rival("my.onnx", "torch", "float")),
    ],
)
def test_what_is_not_said_of_the_rival_is_as_with_the_first(text, rival):
    assert parse_rival(text, backend="onnx", precision="float") == rival


@pytest.mark.parametrize("text", ["", ":onnx", "a:b", "a:onnx:b", "a:onnx:int8:more", "a:int8"])
def test_a_rival_that_makes_no_sense_is_a_sentence(text):
    with pytest.raises(UsageError, match=r"MODEL.*BACKEND.*PRECISION"):
        parse_rival(text, backend="auto", precision="auto")


def test_cameras_are_counted_between_two_moments():
    seen = Seen(
        ways=[(0.0, 0.9, True), (1.0, 1.1, True), (1.2, 1.6, True), (1.3, 1.8, False),
              (2.9, 3.0, True)],
        batches=[(0.9, 5), (1.1, 1), (1.6, 2)],
    )  # fmt: skip
    found = cameras_of(
        seen, 1.0, 3.0, cameras=2, asked=25.0, cpu_s=3.0, grown=4 * 2**20, peak=2**30
    )
    assert found.arrived_per_second == 1.5
    assert found.cleaned_per_second == 1.0
    assert found.cleaned == pytest.approx(2 / 3)
    assert (found.p50_ms, found.p95_ms) == (pytest.approx(100), pytest.approx(400))
    assert (found.mean_batch, found.largest_batch) == (1.5, 2)
    assert found.cores_busy == 1.5
    assert (found.memory_mb_per_camera, found.peak_memory_mb) == (2, 1024)


def test_cameras_of_which_nothing_came_have_no_latency():
    found = cameras_of(Seen(), 0.0, 1.0, cameras=1, asked=25.0, cpu_s=0.0, grown=None, peak=None)
    assert (found.cleaned, found.p50_ms, found.mean_batch, found.largest_batch) == (
        0, None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize("int8", [False, True])
def test_the_graph_of_convolutions_is_one_that_onnx_takes(int8):
    onnx = pytest.importorskip("onnx")
    graph = onnx.load_from_string(chain_graph(8, 3, int8=int8))
    onnx.checker.check_model(graph, full_check=True)
    kinds = [node.op_type for node in graph.graph.node]
    assert kinds.count("Conv") == 5
    assert kinds.count("QuantizeLinear") == (3 if int8 else 0)


def test_the_multiplications_of_the_graph_are_those_of_its_weights():
    onnx = pytest.importorskip("onnx")
    weights = onnx.load_from_string(chain_graph(8, 3)).graph.initializer
    assert chain_macs(8, 3) == sum(
        int(np.prod(weight.dims)) for weight in weights if len(weight.dims) == 4
    )


def test_the_graph_in_8_bits_gives_what_it_gives_in_floats_nearly(tmp_path):
    ort = pytest.importorskip("onnxruntime")
    frames = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    floats, rounded = (
        ort.InferenceSession(chain_graph(16, 2, int8=int8)).run(None, {"frames": frames})[0]
        for int8 in (False, True)
    )
    assert floats.shape == frames.shape
    assert floats.std() > 10
    assert np.abs(floats.astype(int) - rounded).mean() < 8


class Shipped(NullBackend):
    """Says that it is a network of ours, in floats."""

    def __init__(self, precision):
        self.model, self.precision = available_models()[0], precision


def test_a_network_reaches_a_fraction_of_the_convolutions_in_its_precision():
    rates = [
        ConvolutionRate(precision="float32", macs_per_second=1e11),
        ConvolutionRate(precision="bfloat16", macs_per_second=2e11),
    ]
    backend = Shipped("bf16")
    needs = backend.model.card.macs_per_pixel
    found = arithmetic_of(backend, rates, 5e10 / needs)
    assert found.precision == "bfloat16"
    assert found.macs_per_second == pytest.approx(5e10)
    assert found.fraction == pytest.approx(0.25)
    assert arithmetic_of(Shipped("float16"), rates, 1e6).fraction is None
    assert arithmetic_of(NullBackend(), rates, 1e6).macs_per_second is None
