"""The public ``Derainer``: arrays in, arrays out, streams that remember, and nothing aliased."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import streamderain
from streamderain import Derainer
from streamderain.errors import ModelError, UsageError
from streamderain.inference.gate import GateConfig
from streamderain.inference.past import TemporalPrior
from streamderain.inference.running import derain
from streamderain.models import ModelInfo
from streamderain.readers.scene import SceneReader
from tests.clips import picture

SIZE = (72, 128)


class Darkener:
    """A network that takes a level off each frame and a level more of the first colour."""

    name, device, runtime, lanes, notes = "darkener", "cpu", "none", 1, ()
    model = ModelInfo(name="darkener", path=None)

    def __init__(self, inputs=3):
        self.inputs = inputs
        self.batches = []
        self.threads = set()
        self.closed = 0

    def run(self, frames):
        self.batches.append(frames.shape)
        self.threads.add(threading.get_ident())
        return frames[..., :3] - np.array([2, 1, 1], np.uint8)

    def close(self):
        self.closed += 1


@pytest.fixture
def darkener(monkeypatch):
    backend = Darkener()
    monkeypatch.setattr("streamderain.api.derainer.create_backend", lambda *_: backend)
    return backend


def scene(rain, count=12, size=SIZE):
    with SceneReader(height=size[0], width=size[1], seconds=count / 25, rain=rain) as reader:
        return [frame.pixels for frame in reader]


def test_a_picture_comes_out_derained_and_what_went_in_is_untouched(darkener):
    given = picture(*SIZE)
    before = given.copy()
    clean = Derainer().derain(given)
    assert (clean == before - np.array([2, 1, 1], np.uint8)).all()
    assert (given == before).all()
    assert not np.shares_memory(clean, given)


def test_a_batch_keeps_its_shape_and_a_list_its_sizes(darkener):
    derainer = Derainer()
    batch = np.stack([picture(*SIZE, at) for at in range(3)])
    assert (derainer.derain(batch) == batch - np.array([2, 1, 1], np.uint8)).all()
    pictures = [picture(20, 30), picture(*SIZE), picture(20, 30, 2)]
    darkener.batches.clear()
    found = derainer.derain(pictures)
    assert [clean.shape for clean in found] == [given.shape for given in pictures]
    for clean, given in zip(found, pictures, strict=True):
        assert (clean == given - np.array([2, 1, 1], np.uint8)).all()
    assert sorted(shape[0] for shape in darkener.batches) == [1, 2]


def test_no_pictures_are_no_pictures(darkener):
    assert Derainer().derain([]) == []
    assert Derainer().derain(np.empty((0, 4, 6, 3), np.uint8)).shape == (0, 4, 6, 3)


def test_large_batches_go_through_in_portions(darkener):
    derainer = Derainer()
    many = np.stack([picture(180, 320, at) for at in range(5)])
    assert (derainer.derain(many) == many - np.array([2, 1, 1], np.uint8)).all()
    assert [shape[0] for shape in darkener.batches] == [2, 2, 1]


def test_colours_may_be_in_the_order_of_opencv(darkener):
    given = picture(*SIZE)
    clean = Derainer(pixfmt="bgr24").derain(given)
    assert (clean == given - np.array([1, 1, 2], np.uint8)).all()


def test_pieces_of_arrays_are_taken_as_they_are(darkener):
    given = picture(*SIZE)
    assert (Derainer().derain(given[::2, ::-1]) == Derainer().derain(given)[::2, ::-1]).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((4, 6, 3), np.float32), "uint8, not of float32"),
        (np.zeros((4, 6), np.uint8), r"not the shape \(4, 6\)|not the shape \(6,\)"),
        (np.zeros((4, 6, 4), np.uint8), r"not the shape \(4, 6, 4\)"),
        (np.zeros((0, 6, 3), np.uint8), r"not the shape \(0, 6, 3\)"),
        ([[1, 2]], "not of list"),
    ],
)
def test_what_is_no_frame_is_refused_with_a_sentence(darkener, wrong, said):
    with pytest.raises(UsageError, match=said):
        Derainer().derain(wrong)
    assert not darkener.batches


def test_a_closed_one_says_so(darkener):
    with Derainer() as derainer:
        pass
    derainer.close()
    with pytest.raises(UsageError, match="closed"):
        derainer.derain(picture(*SIZE))
    assert darkener.closed


def test_an_unknown_model_or_order_of_colours_is_a_sentence():
    with pytest.raises(ModelError, match="nothing-like-it"):
        Derainer("nothing-like-it")
    with pytest.raises(UsageError, match="rgb24 or bgr24"):
        Derainer("null", pixfmt="yuv")


def test_dry_frames_come_out_bit_for_bit_and_cost_no_network(darkener):
    stream = Derainer().stream(gate=GateConfig(hold=1))
    frames = scene(None)
    found = [stream.derain(frame) for frame in frames]
    assert len(darkener.batches) < 4  # until the gauge has seen three
    assert stream.bypass == "dry"
    assert not stream.derained
    assert stream.rain < 0.4
    assert (found[-1] == frames[-1]).all()
    assert not np.shares_memory(found[-1], frames[-1])


def test_rainy_frames_are_derained(darkener):
    stream = Derainer().stream()
    frames = scene("heavy")
    for frame in frames:
        clean = stream.derain(frame)
        assert stream.derained
        assert (clean == frame - np.array([2, 1, 1], np.uint8)).all()
    assert stream.rain > 0.8


def test_always_derains_what_is_dry_as_well(darkener):
    stream = Derainer().stream(always=True)
    for frame in scene(None, 5):
        stream.derain(frame)
        assert stream.derained
        assert stream.rain is None


def test_the_null_model_gives_back_what_it_is_given():
    stream = Derainer("null").stream()
    frame = picture(*SIZE)
    assert (stream.derain(frame) == frame).all()
    assert stream.bypass == "null"
    assert (Derainer("null", pixfmt="bgr24").derain(frame) == frame).all()


@pytest.fixture(scope="module")
def video_network():
    with Derainer("video-xs") as derainer:
        yield derainer


def test_a_stream_gives_what_the_network_makes_of_each_frame_and_its_past(video_network):
    frames = scene("heavy", 6)
    past, stream = TemporalPrior(), video_network.stream(always=True)
    for frame in frames:
        (expected,) = derain(video_network._backend, [frame], [past.step(frame)])
        assert (stream.derain(frame) == expected).all()


def test_drawing_on_what_came_out_or_went_in_does_not_change_what_is_remembered(video_network):
    frames = scene("heavy", 8)
    careful, careless = video_network.stream(always=True), video_network.stream(always=True)
    for frame in frames:
        expected = careful.derain(frame)
        mine = frame.copy()
        found = careless.derain(mine)
        assert (found == expected).all()
        found[:], mine[:] = 255, 255


def test_the_past_of_dry_frames_that_were_drawn_on_is_what_it_was(video_network):
    dry, wet = scene(None, 8), scene("heavy", 9)[-1:]

    def run(draw):
        stream = video_network.stream(gate=GateConfig(hold=1))
        for frame in dry:
            clean = stream.derain(frame)
            if draw:
                clean[:] = 0
        assert stream.bypass == "dry"
        stream._gate = stream._watch._gate = None  # now it rains
        return stream.derain(wet[0])

    assert (run(draw=False) == run(draw=True)).all()


def test_the_past_is_worth_something(video_network):
    with SceneReader(height=144, width=256, seconds=0.48, rain="heavy") as reader:
        frames = [(frame.pixels, reader.clean_frame(frame.index)) for frame in reader]
    stream = video_network.stream(always=True)
    errors = [
        np.square(stream.derain(rainy).astype(float) - truth).mean() for rainy, truth in frames
    ]
    alone = video_network.derain(frames[-1][0])
    assert errors[-1] < 0.7 * np.square(alone.astype(float) - frames[-1][1]).mean()


def test_cameras_together_give_what_each_gives_alone(video_network):
    cameras = [scene("heavy", 4), scene("light", 4), scene(None, 4, size=(48, 64))]
    alone = [video_network.stream() for _ in cameras]
    together = [video_network.stream() for _ in cameras]
    for frames in zip(*cameras, strict=True):
        expected = [stream.derain(frame) for stream, frame in zip(alone, frames, strict=True)]
        found = video_network.derain_together(together, frames)
        for one, other in zip(found, expected, strict=True):
            differ = np.abs(one.astype(int) - other)
            assert differ.max() <= 3, "in 8 bits, a sum may be rounded in another order"
            assert differ.mean() < 0.2
        assert [s.bypass for s in alone] == [s.bypass for s in together]


def test_cameras_together_share_runs_of_the_network(darkener):
    derainer = Derainer()
    streams = [derainer.stream() for _ in range(3)]
    derainer.derain_together(streams, [picture(*SIZE), picture(20, 30), picture(*SIZE)])
    assert sorted(shape[0] for shape in darkener.batches) == [1, 2]


def test_streams_of_another_derainer_or_of_another_number_are_refused(darkener):
    one, other = Derainer(), Derainer()
    with pytest.raises(UsageError, match="belongs to the Derainer"):
        one.derain_together([other.stream()], [picture(*SIZE)])
    with pytest.raises(UsageError, match="1 streams got 2 frames"):
        one.derain_together([one.stream()], [picture(*SIZE)] * 2)


def test_a_frame_that_is_refused_is_remembered_by_none_of_them(darkener):
    derainer = Derainer()
    streams = [derainer.stream(), derainer.stream()]
    with pytest.raises(UsageError):
        derainer.derain_together(streams, [picture(*SIZE), np.zeros(3)])
    assert [stream._frames for stream in streams] == [0, 0]


def test_another_size_and_a_reset_begin_anew(video_network):
    frames, larger = scene("heavy", 4), scene("heavy", 2, size=(96, 160))
    stream = video_network.stream(always=True)
    for frame in frames:
        stream.derain(frame)
    for frame in larger:
        video_network.derain(frame)  # what is compiled for a size that comes again rounds otherwise
    assert (stream.derain(larger[0]) == video_network.derain(larger[0])).all()
    stream.derain(larger[1])
    stream.reset()
    assert (stream.derain(larger[1]) == video_network.derain(larger[1])).all()


def test_threads_may_share_one(video_network):
    frames = scene("heavy", 6)
    expected = video_network.derain(frames)
    found = {}

    def work(at):
        found[at] = video_network.derain(frames[at])

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(frames))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at, clean in enumerate(expected):
        differ = np.abs(found[at].astype(int) - clean)
        assert differ.max() <= 3, "in 8 bits, a sum may be rounded in another order"


def test_it_says_what_it_runs(video_network):
    assert (video_network.model, video_network.device) == ("video-xs", "cpu")
    assert video_network.runtime
    assert video_network.remembers
    assert video_network.batch_for(720, 1280) >= 1


@pytest.mark.parametrize("name", [name for name in streamderain.__all__ if name[0] != "_"])
def test_every_public_name_is_there_when_it_is_asked_for(name):
    assert getattr(streamderain, name).__module__.startswith("streamderain.")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        streamderain.nothing_like_it  # noqa: B018


def test_a_derainer_loads_no_torch_and_no_ray():
    code = (
        "import sys, streamderain; assert 'numpy' not in sys.modules;"
        "streamderain.Derainer('null'); streamderain.VideoCapture(); streamderain.open_clean;"
        "print(sorted({'torch', 'ray', 'starlette', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
