"""When memory runs out: fewer frames, then tiles, then a sentence; and it is remembered."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.errors import ModelError, ModelMemoryError
from streamderain.inference import memory
from streamderain.inference.graphs import failed
from streamderain.inference.memory import Portions, is_out_of_memory, run_in_portions
from streamderain.inference.running import derain, portions_for
from streamderain.models import ModelInfo


class Small:
    """A backend that takes a level off, and has memory for so many pixels."""

    name, device, inputs, notes = "small", "cpu", 3, ()
    model = ModelInfo(name="small", path=None)

    def __init__(self, pixels):
        self.pixels, self.runs = pixels, []

    def run(self, frames):
        self.runs.append(frames.shape)
        if frames[..., 0].size > self.pixels:
            raise failed(self.name, frames.shape, RuntimeError("CUDA error: out of memory"))
        return frames[..., :3] - 1


def pictures(count, height, width):
    return np.arange(100, 100 + count, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (1, height, width, 3), np.uint8
    )


def test_where_memory_suffices_everything_goes_through_at_once():
    backend, frames = Small(10**9), pictures(5, 40, 60)
    assert np.array_equal(derain(backend, list(frames)), frames - 1)
    assert backend.runs == [(5, 40, 60, 3)]


def test_fewer_frames_are_tried_first():
    backend, frames = Small(2 * 200 * 300), pictures(7, 200, 300)
    assert np.array_equal(derain(backend, list(frames)), frames - 1)
    sizes = [shape[0] for shape in backend.runs if shape[1:3] == (200, 300)]
    assert len(sizes) == len(backend.runs)  # no tiles
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_then_tiles():
    backend, frames = Small(30_000), pictures(2, 300, 400)
    assert np.array_equal(derain(backend, list(frames)), frames - 1)
    assert max(n * h * w for n, h, w, _ in backend.runs[-4:]) <= 30_000


def test_what_did_not_fit_is_remembered_for_other_sizes():
    backend = Small(30_000)
    portions = portions_for(backend)
    derain(backend, list(pictures(2, 300, 400)), portions=portions)
    for height, width in ((300, 400), (150, 200), (500, 500)):
        backend.runs.clear()
        derain(backend, list(pictures(3, height, width)), portions=portions)
        assert all(n * h * w <= 30_000 for n, h, w, _ in backend.runs)
    other = Small(10**9)
    derain(other, list(pictures(2, 300, 400)))
    assert other.runs == [(2, 300, 400, 3)]


def test_in_the_end_one_sentence_says_it():
    with pytest.raises(ModelMemoryError) as caught:
        derain(Small(10), list(pictures(4, 300, 400)))
    said = str(caught.value)
    assert "small ran out of memory" in said
    assert "Not even a run of" in said
    assert "end what else needs the memory" in said
    assert "\n" not in said


def test_other_errors_are_not_tried_again():
    calls = []

    def run(frames):
        calls.append(frames)
        raise ModelError("the model refused")

    with pytest.raises(ModelError, match="refused"):
        run_in_portions(run, pictures(4, 100, 100), Portions(270))
    assert len(calls) == 1


def test_after_many_runs_the_larger_size_is_tried_again_and_ever_more_rarely():
    portions, frames = Portions(270), pictures(2, 200, 200)
    small, large = Small(40_000), Small(10**9)
    run_in_portions(small.run, frames, portions)
    assert portions.limit == 40_000
    waited = []
    for _ in range(3):  # it stays small
        small.runs.clear()
        while (2, 200, 200, 3) not in small.runs:
            run_in_portions(small.run, frames, portions)
        waited.append(len(small.runs))
    assert memory.PATIENCE <= waited[0] < waited[1] < waited[2]
    for _ in range(8 * memory.PATIENCE):  # the other program has ended
        run_in_portions(large.run, frames, portions)
    assert large.runs[-1] == (2, 200, 200, 3)


@settings(max_examples=40)
@given(
    st.integers(1, 6), st.integers(1, 400), st.integers(1, 400), st.integers(100, 400_000),
)  # fmt: skip
def test_any_frames_in_any_memory_come_out_once_or_fail_in_words(count, height, width, pixels):
    backend, frames = Small(pixels), pictures(count, height, width)
    try:
        derained = derain(backend, list(frames))
    except ModelMemoryError as error:
        assert "Not even" in str(error)
        assert pixels < 2 * memory.SMALLEST
    else:
        assert np.array_equal(derained, frames - 1)
    assert len(backend.runs) < 20 + count * 400 * 400 / 64


def torchs_own(name):
    return type(name, (RuntimeError,), {})


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torchs_own("OutOfMemoryError")("CUDA. Tried to reserve 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate "
                     "memory: you tried to allocate 232243200 bytes. Error code 12"),
        Exception("[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running "
                  "Cast node. bfc_arena.cc:360 Failed to allocate memory for requested buffer"),
        Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : CUDA failure 2: out of memory ; "
                  "GPU=0 ; expr=cudaMalloc((void**)&p, size);"),
        Exception("CUDNN_STATUS_ALLOC_FAILED"),
        Exception("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"),
        RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp: std::bad_alloc"),
        RuntimeError("Check 'ptr' failed at cpu_memory.cpp:257: Failed to allocate 14622720 bytes "
                     "of memory"),
        RuntimeError("IExecutionContext::enqueueV3: Error Code 2: OutOfMemory"),
    ],
)  # fmt: skip
def test_errors_about_memory_are_known_in_every_runtime(error):
    assert is_out_of_memory(error)
    assert isinstance(failed("m", (1, 4, 4, 3), error), ModelMemoryError)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), ValueError("memory"), KeyError("allocate")]
)
def test_other_errors_are_not_about_memory(error):
    assert not is_out_of_memory(error)
    assert not isinstance(failed("m", (1, 4, 4, 3), error), ModelMemoryError)


def test_what_came_up_while_memory_ran_out_is_about_memory_unless_it_denies_it():
    def raised(how):
        try:
            try:
                raise MemoryError
            except MemoryError:
                how()
        except RuntimeError as error:
            return error

    def meanwhile():
        raise RuntimeError("the capture was invalidated")

    def denied():
        raise RuntimeError("shapes differ") from None

    def of_another():
        raise RuntimeError("shapes differ") from ValueError("3")

    assert is_out_of_memory(raised(meanwhile))
    assert not is_out_of_memory(raised(denied))
    assert not is_out_of_memory(raised(of_another))


LIMITED = """
    import resource, sys
    import numpy as np
    from streamderain.inference.create import create_backend
    from streamderain.inference.running import derain, portions_for

    count, height, width, spare = map(int, sys.argv[2:])
    with create_backend("video-s", "cpu", sys.argv[1]) as backend:
        backend.run(np.zeros((1, 64, 64, 7), np.uint8))
        taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + spare * 2**20,) * 2)
        portions = portions_for(backend)
        pictures = [np.full((height, width, 3), 90, np.uint8)] * count
        derained = derain(backend, pictures, portions=portions)
        assert derained.shape == (count, height, width, 3) and abs(int(derained.mean()) - 90) < 4
        assert portions.limit < count * height * width, portions.limit
    print("it fitted")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
@pytest.mark.parametrize(
    ("name", "module", "shape", "spare"),
    [
        # ONNX Runtime runs a batch whole, OpenVINO a frame on each core.
        ("onnx", "onnxruntime", (12, 540, 960), 350),
        ("openvino", "openvino", (3, 1080, 1920), 450),
    ],
)
def test_a_runtime_goes_on_in_a_process_that_has_no_more_memory(name, module, shape, spare):
    pytest.importorskip(module)
    script = [sys.executable, "-c", textwrap.dedent(LIMITED), name, *map(str, (*shape, spare))]
    ran = subprocess.run(script, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "it fitted" in ran.stdout
