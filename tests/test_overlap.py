"""Chunks of a batch that overlap on a GPU: here on the CPU, with a GPU's queues played."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from streamderain.errors import ModelError  # noqa: E402
from streamderain.inference import overlap  # noqa: E402
from streamderain.inference.backend import VIDEO, starts_ahead  # noqa: E402
from streamderain.inference.overlap import (  # noqa: E402
    CHUNK_PIXELS,
    CpuTools,
    OverlappedRunner,
    chunk_frames,
)
from streamderain.inference.pytorch import PyTorchBackend, UInt8Network  # noqa: E402
from streamderain.models import available_models, resolve_model  # noqa: E402
from tests.clips import picture  # noqa: E402

CPU = torch.device("cpu")


class Queues(CpuTools):
    """A device that does nothing before it must: work waits in its queue until a mark is awaited.

    It plays what makes real GPUs treacherous: memory that is overwritten, or read too early, gives
    wrong pictures here as well.
    """

    def __init__(self):
        super().__init__(torch)
        self.queues, self.now, self.recorded, self.most = ([], [], []), None, 0, 0

    @contextlib.contextmanager
    def on(self, queue):
        self.now, before = queue, self.now
        yield
        self.now = before

    def later(self, work):
        self.queues[self.now].append(work)

    def mark(self, queue):
        return queue, len(self.queues[queue])

    def after(self, queue, mark):
        self.queues[queue].append(lambda: self._reach(mark))

    def wait(self, mark):
        self.most = max(self.most, sum(work is not None for q in self.queues for work in q))
        self._reach(mark)

    def _reach(self, mark):
        queue, until = mark
        for index in range(until):
            work, self.queues[queue][index] = self.queues[queue][index], None
            if work is not None:
                work()

    def host(self, shape):
        return Memory(self, super().host(shape))

    device = host

    def record(self, call, given):
        self.recorded += 1
        found = Memory(self, torch.empty((*given.shape[:3], 3), dtype=torch.uint8))
        return lambda: found.copy_(call(given)), found

    def release(self):
        for queue in range(3):
            self._reach((queue, len(self.queues[queue])))


class Memory:
    """A tensor whose copies are done later."""

    def __init__(self, queues, tensor):
        self.queues, self.tensor, self.shape = queues, tensor, tensor.shape

    def numpy(self):
        return self.tensor.numpy()

    def copy_(self, other, non_blocking=False):
        def work():
            self.tensor.copy_(other() if callable(other) else other.tensor)

        self.queues.later(work)


def darker(memory):
    """A network that is computed when its result is copied."""
    return lambda: memory.tensor[..., :3] - 1


def batch(count, height=4, width=6, first=10):
    levels = np.arange(first, first + count, dtype=np.uint8)
    return levels[:, None, None, None] + np.zeros((1, height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "frames"),
    [((1080, 1920), 1), ((2160, 3840), 1), ((720, 1280), 2), ((360, 640), 8), ((90, 160), 16)],
)
def test_a_chunk_is_about_a_frame_of_1080p(size, frames):
    assert chunk_frames(*size) == frames
    assert frames == 1 or frames * size[0] * size[1] <= CHUNK_PIXELS


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([6, 20, 40])), max_size=8))
def test_every_frame_comes_out_in_its_place_whatever_waits(batches):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "CHUNK_PIXELS", 100)  # 4, 1 and 1 of them
        runner = OverlappedRunner(darker, Queues())
        for count, width in batches:
            frames = batch(count, 4, width)
            assert np.array_equal(runner.run(frames), frames - 1)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.sampled_from([6, 20, 40])), max_size=8),
    st.integers(1, 3),
)
def test_batches_that_begin_before_one_is_done_come_out_whole(batches, ahead):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlap, "CHUNK_PIXELS", 100)
        runner = OverlappedRunner(darker, Queues())
        under_way, given = [], []
        for number, (count, width) in enumerate(batches):
            given.append(batch(count, 4, width, first=10 + 20 * number))
            under_way.append(runner.start(given[-1]))
            if len(under_way) > ahead:
                assert np.array_equal(under_way.pop(0)(), given.pop(0) - 1)
        for finish, frames in zip(under_way, given, strict=True):
            assert np.array_equal(finish(), frames - 1)


def test_two_chunks_are_under_way_at_once(monkeypatch):
    monkeypatch.setattr(overlap, "CHUNK_PIXELS", 24)
    queues = Queues()
    runner = OverlappedRunner(darker, queues)
    frames = batch(5)
    assert np.array_equal(runner.run(frames), frames - 1)
    assert queues.most >= 2 * 6  # copies and waits of two chunks


def test_a_shape_that_keeps_coming_is_recorded_once():
    queues = Queues()
    runner = OverlappedRunner(darker, queues)
    for _ in range(6):
        runner.run(batch(3))
        runner.run(batch(1))
    assert queues.recorded == 2
    for width in range(8, 40):  # those that don't come again are not, and don't fill the memory
        runner.run(batch(1, 4, width))
    assert queues.recorded == 2
    assert len(runner._lanes) <= 2 + 4


def test_where_nothing_can_be_recorded_it_runs_without():
    class Refusing(Queues):
        def record(self, call, given):
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    runner = OverlappedRunner(darker, Refusing())
    for _ in range(5):
        assert np.array_equal(runner.run(batch(3)), batch(3) - 1)
    assert not runner.graphs


def test_memory_that_runs_out_in_recording_is_said_and_graphs_stay():
    class Full(Queues):
        def record(self, call, given):
            if given.shape[0] > 1:
                raise RuntimeError("CUDA out of memory")
            return super().record(call, given)

    queues = Full()
    runner = OverlappedRunner(darker, queues)
    for _ in range(2):
        runner.run(batch(4))
    with pytest.raises(RuntimeError, match="out of memory"):
        runner.run(batch(4))
    for _ in range(4):
        assert np.array_equal(runner.run(batch(1)), batch(1) - 1)
    assert runner.graphs
    assert queues.recorded == 1


def test_a_batch_that_failed_leaves_nothing_for_the_next_one(monkeypatch):
    monkeypatch.setattr(overlap, "CHUNK_PIXELS", 24)
    wrong = []

    def failing(memory):
        if wrong and wrong.pop() and not wrong:
            raise RuntimeError("CUDA out of memory")
        return darker(memory)

    runner = OverlappedRunner(failing, Queues(), graphs=False)
    frames = batch(6)
    runner.run(frames)
    wrong += [True] * 4
    with pytest.raises(RuntimeError, match="out of memory"):
        runner.run(batch(6, first=90))
    assert not runner._lanes
    assert np.array_equal(runner.run(frames), frames - 1)


def test_a_batch_that_fails_takes_none_with_it_that_began_before(monkeypatch):
    monkeypatch.setattr(overlap, "CHUNK_PIXELS", 24)
    full = []

    def failing(memory):
        if full:
            raise RuntimeError("CUDA out of memory")
        return darker(memory)

    runner = OverlappedRunner(failing, Queues(), graphs=False)
    frames = batch(2)
    before = runner.start(frames)
    full.append(True)
    with pytest.raises(RuntimeError, match="out of memory"):
        runner.start(batch(2, first=90))
    assert np.array_equal(before(), frames - 1)
    full.clear()
    assert np.array_equal(runner.run(frames), frames - 1)


@pytest.mark.parametrize("name", [info.name for info in available_models()])
def test_networks_run_in_half_are_a_level_apart_at_most(name):
    whole = PyTorchBackend(resolve_model(name), "cpu")
    network = UInt8Network(resolve_model(name), CPU, half=True)
    assert network.precision == "float32"  # on the CPU
    if getattr(network._graph.network, "bears_half", True):
        network.halve()
    ours = name.startswith(("attention-s", "attention-m", "video"))
    frames = np.stack([picture(41, 56, index) for index in range(3 if ours else 1)])
    if whole.inputs == VIDEO:
        frames = np.concatenate([frames, frames[::-1], frames[..., :1]], axis=3)
    runner = OverlappedRunner(network, CpuTools(torch))
    with torch.inference_mode():
        for _ in range(4 if ours else 1):  # plain, plain, recorded, replayed
            found = runner.run(frames)
    assert np.abs(found.astype(int) - whole.run(frames)).max() <= 1


@pytest.mark.parametrize("half", [False, True])
def test_floats_are_never_cut_to_tensor_floats(half):
    network = UInt8Network(resolve_model("attention-s"), CPU, half=half)
    seen = []
    network._graph = lambda frames: seen.append(torch.backends.cudnn.allow_tf32) or frames
    network(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))
    assert seen == [False]


def test_on_cuda_the_backend_goes_through_it(monkeypatch):
    """Everything but CUDA: its tools are the CPU's, and so is the device of the network."""
    from streamderain.inference import pytorch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(pytorch, "CudaTools", CpuTools)
    made = UInt8Network(resolve_model("attention-s"), CPU, half=False)
    made.halve()
    monkeypatch.setattr(pytorch, "UInt8Network", lambda *_, half: made)
    frames = np.stack([picture(24, 32, index) for index in range(3)])
    with PyTorchBackend(resolve_model("attention-s"), "cpu") as cpu:
        with_cpu = cpu.run(frames)
    with PyTorchBackend(resolve_model("attention-s"), "auto") as backend:
        assert (backend.device, backend.precision, backend.notes) == ("cuda", "float16", ())
        assert backend.runtime.endswith("float16")
        for _ in range(4):
            assert np.abs(backend.run(frames).astype(int) - with_cpu).max() <= 1
        assert starts_ahead(backend)
        assert backend.can_start(1, 24, 32)
        begun = backend.start(frames), backend.start(frames[::-1])
        assert np.abs(begun[0]().astype(int) - with_cpu).max() <= 1
        assert np.abs(begun[1]().astype(int) - with_cpu[::-1]).max() <= 1
    with pytest.raises(ModelError, match="was closed"):
        backend.run(frames)


def test_a_gpu_that_pytorch_can_not_use_is_said_once(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with PyTorchBackend(resolve_model("attention-s"), "auto") as made:
        assert made.device == "cpu"
        assert "Everything runs on the CPU." in made.notes[0]
    with PyTorchBackend(resolve_model("attention-s"), "cpu") as made:
        assert made.notes == ()
    with pytest.raises(ModelError, match="CUDA was asked for but PyTorch finds none"):
        PyTorchBackend(resolve_model("attention-s"), "cuda")
