"""The measuring of clusters: what is compared with what."""

from types import SimpleNamespace

import av
import pytest

from streamderain.clean import CleanOptions
from streamderain.cluster.cleaner import NetworkChoice
from streamderain.errors import UsageError
from streamderain.media.scanning import scan
from streamderain.report import JobReport
from tools import bench_cluster


def test_recordings_to_measure_with_can_be_cut_each_second(tmp_path):
    clips = bench_cluster.make_clips(tmp_path, 2, (36, 64), 3)
    assert clips[0].read_bytes() == clips[1].read_bytes()
    found = scan(clips[0])
    assert (len(found.times), len(found.keys)) == (75, 3)


def test_each_round_compares_with_one_worker_of_its_own(tmp_path, monkeypatch):
    """The second round is half as fast for all: the ratio is the same."""
    clock = [0.0]
    asked = []

    def clean(jobs, refused, network, options, cluster, progress, tells):
        asked.append(cluster.workers)
        slow = 1 + len(asked) // 3
        clock[0] += 5
        tells.tell(SimpleNamespace(seconds=0.0))
        clock[0] += 100 * slow / cluster.workers
        for job in jobs:
            progress.end(JobReport(input=job.name, output="", ok=True, frames_out=500))

    monkeypatch.setattr(bench_cluster, "clean_on_cluster", clean)
    monkeypatch.setattr(bench_cluster.time, "monotonic", lambda: clock[0])
    clips = bench_cluster.make_clips(tmp_path, 2, (36, 64), 1)
    figures = bench_cluster.measure(
        clips, [2], 2, NetworkChoice(model="null"), CleanOptions(), cpus=1
    )
    assert asked == [1, 2, 1, 2]
    assert [figure.workers for figure in figures] == [1, 2]
    assert figures[0].frames_per_second == pytest.approx((1000 / 100 + 1000 / 200) / 2)
    assert [figure.ratio for figure in figures] == pytest.approx([1, 2])
    assert [figure.starting_s for figure in figures] == [5, 5]
    assert "| 2 | 15.0 | 2.00 | 5 s |" in bench_cluster.markdown(figures)


def test_looks_ahead_and_joins_are_timed_and_need_more_than_a_segment(tmp_path):
    (clip,) = bench_cluster.make_clips(tmp_path, 1, (36, 64), 3)
    options = CleanOptions(preset="superfast", segment_s=1)
    parts = bench_cluster.measure_parts(clip, NetworkChoice(model="null"), options)
    assert parts.look > 0
    assert parts.join > 0
    with av.open(str(tmp_path / "joined.mp4")) as joined:
        assert sum(1 for _ in joined.decode(video=0)) == 75
    with pytest.raises(UsageError, match="longer"):
        bench_cluster.measure_parts(clip, NetworkChoice(model="null"), CleanOptions(segment_s=9))
