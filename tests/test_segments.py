"""Long recordings in segments: cut at key frames, the same frames as at once, joined uncoded."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.frame import Frame
from streamderain.inference.create import create_backend
from streamderain.inference.derainer import Derainer
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import judged
from streamderain.inference.remembering import remembered
from streamderain.media.scanning import displacement, scan
from streamderain.pipeline import Pipeline
from streamderain.readers.span import SpanReader
from streamderain.readers.video import VideoFileReader
from streamderain.segments.carrying import carried_states
from streamderain.segments.job import SegmentedJob
from streamderain.segments.judging import GateState, Judge
from streamderain.segments.memory import Memory, MemoryState
from streamderain.segments.plan import plan
from streamderain.segments.work import Segment, Settings, clean_segment
from streamderain.writers.video import VideoFileWriter
from tests.clips import frame_times, make_clip, packets, planes, read_all
from tests.graphs import video_network_file
from tests.showers import make_shower, street

SMALL = {"height": 96, "width": 160, "frames": 170, "showers": ((45, 85),)}
SOURCES = {
    "open groups and B-frames.mp4": {
        "options": {"bf": "3", "x264-params": "open-gop=1:scenecut=0"},
    },
    "never a whole picture.ts": {
        "options": {"x264-params": "intra-refresh=1:keyint=20:scenecut=0"},
    },
    "uneven times.mkv": {
        "times": [40 * i + i % 3 for i in range(170)], "time_base": Fraction(1, 1000),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    made = video_network_file(tmp_path_factory.mktemp("network") / "past.onnx")
    with create_backend(made, "cpu", "onnx") as backend:
        yield backend


def at_once(clip, target, backend, lookahead, codec="ffv1"):
    with VideoFileReader(clip, planes=True) as reader:
        writer = VideoFileWriter(target, reader.format, source=clip, codec=codec)
        derainer = Derainer(backend, gate=GateConfig(), lookahead=lookahead)
        return Pipeline(reader, derainer, writer).run()


def in_segments(clip, target, backend, how, seconds):
    with SegmentedJob(clip, target, backend, how, segment_s=seconds) as job:
        for segment in job.pending():
            job.accept(clean_segment(job.carrying(segment), backend))
        job.join()
        return job


def assert_same_frames(one, other):
    first, second = (read_all(path)[0] for path in (one, other))
    assert len(first) == len(second)
    worst = max(
        int(np.abs(a.pixels.astype(int) - b.pixels).max())
        for a, b in zip(first, second, strict=True)
    )
    assert worst <= 1
    assert frame_times(one) == frame_times(other)


@pytest.mark.parametrize(
    ("name", "lookahead"), list(zip([*SOURCES, *SOURCES], (4, 0, 4, 0), strict=False))
)
def test_one_two_and_seven_segments_give_the_frames_of_none(tmp_path, network, name, lookahead):
    clip = make_shower(tmp_path / name, pan=0.4, **SMALL, **SOURCES[name])
    whole = tmp_path / "whole.mkv"
    result = at_once(clip, whole, network, lookahead)
    assert min(result.derained, result.bypassed["dry"]) > 20, "both must be in it"
    for seconds, count in ((100, 1), (4, 2), (0.7, 7)):
        target = tmp_path / f"{count}.mkv"
        how = Settings(codec="ffv1", lookahead=lookahead)
        job = in_segments(clip, target, network, how, seconds)
        found = len(job.segments)
        assert found == count or (count == 7 and found >= 7)
        assert_same_frames(whole, target)
        assert sum(run.count for run in job.map.runs if run.fate == "dry") == result.bypassed["dry"]


def test_segments_that_are_cleaned_at_the_same_time_get_what_they_must_know(tmp_path, network):
    clip = make_shower(tmp_path / "rain.mp4", pan=0.4, **SMALL)
    for lookahead in (0, 4):
        found = scan(clip)
        spans = plan(found.times, found.keys, 2 / found.time_base)
        ahead = dict(carried_states(clip, spans, lookahead, gated=True, remembers=True))
        assert sorted(ahead) == [span.number for span in spans[1:]]
        middle = len(spans) // 2
        rest = carried_states(
            clip, spans[middle:], lookahead, gated=True, remembers=True, carried=ahead[middle]
        )
        assert dict(rest) == {number: state for number, state in ahead.items() if number > middle}
        before = None
        for span in spans:
            if span.number:
                assert ahead[span.number] == before
            segment = Segment(
                source=str(clip), target=str(tmp_path / "piece.nut"), whole="x.mkv", span=span,
                settings=Settings(codec="ffv1", lookahead=lookahead), carried=before,
            )  # fmt: skip
            again = Segment.model_validate_json(segment.model_dump_json())
            assert again == segment, "it can be sent"
            before = clean_segment(again, network).carried


def test_a_segment_without_what_it_must_know_is_refused(tmp_path, network):
    clip = make_shower(tmp_path / "rain.mp4", **SMALL)
    found = scan(clip)
    span = plan(found.times, found.keys, 2 / found.time_base)[1]
    segment = Segment(source=str(clip), target=str(tmp_path / "p.nut"), whole="x.mkv", span=span,
                      settings=Settings(codec="ffv1"))  # fmt: skip
    with pytest.raises(ValueError, match="carried"):
        clean_segment(segment, network)
    assert not list(tmp_path.glob("*p.nut*"))


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".ts"])
def test_joined_segments_have_the_times_the_sound_and_the_chapters_of_one_run(tmp_path, ending):
    clip = make_clip(tmp_path / "gate.mp4", frames=150, audio_tracks=2,
                     options={"g": "20", "bf": "2"})  # fmt: skip
    one, many = tmp_path / f"one{ending}", tmp_path / f"many{ending}"
    with create_backend("null") as backend:
        at_once(clip, one, backend, 0, "h264")
        job = in_segments(clip, many, backend, Settings(), 1.5)
    assert len(job.segments) == 4
    assert frame_times(one) == frame_times(many)
    for track in (0, 1):
        assert packets(one, "audio", track) == packets(many, "audio", track)
    assert len(planes(many)) == 150
    with av.open(str(many)) as container:
        found = [(p.pts, p.dts) for p in container.demux(video=0) if p.dts is not None]
        assert all(dts <= pts for pts, dts in found)
        assert all(a[1] < b[1] for a, b in itertools.pairwise(found))
    with av.open(str(one)) as a, av.open(str(many)) as b:
        assert a.metadata == b.metadata
        for x, y in zip(a.streams, b.streams, strict=True):
            assert (x.type, x.metadata, x.time_base) == (y.type, y.metadata, y.time_base)
            assert x.codec_context.extradata == y.codec_context.extradata
            assert x.duration == y.duration
            assert x.codec_context.codec_tag == y.codec_context.codec_tag
            assert x.disposition == y.disposition


@pytest.mark.parametrize("codec", ["hevc", "av1"])
def test_other_codecs_are_joined_as_well(tmp_path, codec):
    clip = make_clip(tmp_path / "gate.mp4", frames=60, height=64, options={"g": "10"})
    target = tmp_path / "clean.mp4"
    with create_backend("null") as backend:
        job = in_segments(clip, target, backend, Settings(codec=codec), 0.8)
    assert len(job.segments) == 3
    assert frame_times(target) == frame_times(clip)
    assert len(planes(target)) == 60


@settings(max_examples=200)
@given(
    steps=st.lists(st.integers(1, 9), min_size=1, max_size=300),
    keys=st.sets(st.integers(0, 299)),
    length=st.integers(1, 500),
    start=st.integers(-50, 50),
)
def test_spans_hold_every_frame_once_and_begin_with_key_frames(steps, keys, length, start):
    times = [start + sum(steps[:n]) for n in range(len(steps))]
    at = sorted({times[0]} | {times[n] for n in keys if n < len(times)})
    spans = plan(times, at, length)
    held = []
    for span in spans:
        own = [t for t in times if (span.start is None or t >= span.start)
               and (span.end is None or t < span.end)]  # fmt: skip
        assert len(own) == span.frames >= 1
        held += own
        if span.start is not None:
            assert span.start in at
        if span.prime is not None:
            assert span.seek is None or span.seek <= span.prime <= span.start
        assert span.until is None or span.until > span.end
    assert held == times


def test_a_file_without_times_is_one_span():
    assert [span.frames for span in plan((), (), 10)] == [0]


def test_displacement_counts_by_how_much_decoding_runs_ahead():
    assert displacement([0, 1, 2]) == 0
    assert displacement([0, 4, 2, 1, 3]) == 2
    assert displacement([]) == 0


def test_a_span_is_what_the_whole_file_is_at_that_time(tmp_path):
    for name in ("open.mp4", "open.ts", "open.mkv"):
        clip = make_clip(tmp_path / name, frames=90, options={"g": "15", "bf": "3",
                         "x264-params": "open-gop=1:scenecut=0"})  # fmt: skip
        whole = read_all(clip)[0]
        found = scan(clip)
        assert len(found.times) == 90
        for seek in found.keys:
            first = found.times[found.times.index(seek) + 5]
            with SpanReader(clip, seek=seek, first=first, until=found.times[-3]) as reader:
                frames = list(reader)
                assert not reader.problems
            wanted = [frame for frame in whole if first <= frame.pts < found.times[-3]]
            assert [frame.pts for frame in frames] == [frame.pts for frame in wanted]
            assert all((a.pixels == b.pixels).all() for a, b in zip(frames, wanted, strict=True))


def frames_of(fates, size=(48, 64)):
    """Frames of a turning camera that are rainy, dry or corrupt, by the letters of a word."""
    wide = street(size[0] + 32, size[1] + 2 * len(fates) + 32)
    noise = np.random.default_rng(7)
    for index, fate in enumerate(fates):
        pixels = np.ascontiguousarray(wide[8 : 8 + size[0], 2 * index : 2 * index + size[1]])
        pixels = np.clip(pixels + noise.normal(0, 2, pixels.shape), 0, 255).astype(np.uint8)
        yield Frame("c", 0, index, index, Fraction(1, 25), pixels, corrupt=fate == "x",
                    bypass="dry" if fate == "d" else None)  # fmt: skip


@pytest.mark.parametrize("lookahead", [0, 4])
def test_a_memory_put_down_anywhere_goes_on_as_if_it_had_not_been(lookahead):
    fates = "r" * 14 + "d" * 8 + "r" * 3 + "x" * 2 + "r" * 6 + "d" * 30 + "r" * 12
    expected = [prior for _, prior in remembered(frames_of(fates), lookahead)]
    assert sum(prior is not None for prior in expected) > 30
    for cut in range(1, len(fates), 3):
        first, second = Memory(lookahead), Memory(lookahead)
        frames = list(frames_of(fates))
        found = [pair for frame in frames[:cut] for pair in first.step(frame)]
        state = MemoryState.model_validate_json(first.state.model_dump_json())
        second.take_up(state, frames[max(0, cut - 40) : cut])
        found = [(f, p) for f, p in found if f.index < cut - lookahead]
        rest = [pair for frame in frames[cut:] for pair in second.step(frame)] + second.rest()
        for frame, prior in [*found, *rest]:
            wanted = expected[frame.index]
            assert (prior is None) == (wanted is None), (cut, frame.index)
            if prior is not None:
                assert (prior.pixels == wanted.pixels).all(), (cut, frame.index)
                assert (prior.reliability == wanted.reliability).all(), (cut, frame.index)
        assert {f.index for f, _ in rest} == set(range(cut, len(fates)))


def test_a_judge_put_down_anywhere_goes_on_as_if_it_had_not_been(tmp_path):
    clip = make_shower(tmp_path / "rain.mkv", encoder="ffv1", pan=0, **SMALL)
    config = GateConfig(hold=10)

    def fresh():
        frames = read_all(clip)[0]
        for index in (40, 41, 120, 121, 122, 123, 124, 125):
            frames[index].corrupt = True
        return frames

    expected = [(frame.rain, frame.bypass) for frame in judged(fresh(), config)]
    assert {"dry", None} == {bypass for _, bypass in expected}
    for cut in range(20, 170, 9):
        frames = fresh()
        first = Judge(config)
        for frame in frames[:cut]:
            first.step(frame)
        state = GateState.model_validate_json(first.state.model_dump_json())
        second = Judge(config, state)
        again = fresh()
        second.prime(again[cut - 10 : cut])
        found = [f for frame in again[cut:] for f in second.step(frame)] + second.rest()
        got = [(f.rain, f.bypass) for f in found if f.index >= cut]
        assert got == expected[cut:], cut
