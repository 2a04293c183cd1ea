"""A batch on a cluster: what one video's failure is to the others. The workers are no processes."""

import contextlib
import itertools
import os
import re
import shutil
import time
from contextlib import contextmanager
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest

from streamderain.clean import CleanOptions
from streamderain.cli import main
from streamderain.cluster import offline
from streamderain.cluster.cleaner import Answer, Cleaner, NetworkChoice, Scout
from streamderain.cluster.offline import ClusterOptions, clean_on_cluster
from streamderain.cluster.placing import Introduction, Need
from streamderain.cluster.workers import Answered, Came, Looked, Lost, Unfit, Worker
from streamderain.cluster.workers import Workers as RealWorkers
from streamderain.errors import ClusterError, Interrupted, UsageError
from streamderain.jobs import plan_jobs
from streamderain.segments.manifest import StateFolder
from tests.clips import make_clip, planes

NULL = NetworkChoice(model="null")


class Workers:
    """Workers as :class:`streamderain.cluster.workers.Workers` has them, in this thread.

    Attributes:
        meets: told of each order before it is done; what it returns is what happens instead.
    """

    def __init__(self, network, meets=lambda work: None, introduces=lambda number: None):
        self._network, self.meets, self._introduces = network, meets, introduces
        self.all, self._coming, self._scouts = [], [], {}
        self._numbers = itertools.count()

    def start(self):
        node = f"10.0.0.{next(self._numbers)}"
        worker = Worker(Cleaner(self._network, node, node, 0))
        self.all.append(worker)
        self._coming.append(worker)

    @property
    def idle(self):
        return [worker for worker in self.all if worker.said and worker.order is None]

    @property
    def there(self):
        return sum(worker.said is not None for worker in self.all)

    def give(self, worker, order, work):
        assert worker.order is None
        worker.order, worker.work = order, work

    def look(self, video, order, near):
        assert video not in self._scouts
        self._scouts[video] = Scout(order, near.said.node)

    def stop_looking(self, video):
        self._scouts.pop(video, None)

    def dismiss(self, worker):
        self.all.remove(worker)

    def ask(self):
        pass

    def close(self):
        self.all.clear()

    def wait(self, timeout_s):
        if not (self._scouts or self._coming or any(worker.order for worker in self.all)):
            time.sleep(0.01)  # or the threads that plan and join would hardly come to work
        for video, scout in list(self._scouts.items()):
            told = scout.next()
            if told is None:
                self.stop_looking(video)
            yield Looked(video, *(told or (None, None)))
        while self._coming:
            worker = self._coming.pop(0)
            said = worker.actor.introduce()
            said |= self._introduces(int(worker.actor._node.rpartition(".")[2])) or {}
            if "error" in said:
                self.dismiss(worker)
                yield Unfit(said["error"])
            else:
                worker.said = Introduction.model_validate(said)
                yield Came(worker, worker.said)
        for worker in [worker for worker in self.all if worker.order]:
            order, work = worker.order, worker.work
            instead = self.meets(work)
            worker.order = worker.work = None
            if instead == "lost":
                self.dismiss(worker)
                yield Lost(worker, work, True, "its process ended")
            else:
                yield Answered(worker, order, work, instead or worker.actor.clean(order))


class Told:
    """Takes what is told."""

    def __init__(self):
        self.notes, self.reports = [], []

    def tell(self, overview):
        str(overview)

    def note(self, sentence):
        self.notes.append(sentence)

    def start(self, name, frames):
        raise AssertionError("a video is a part of the account")

    update = start

    def end(self, report):
        self.reports.append(report)


@pytest.fixture
def clips(tmp_path):
    first = make_clip(tmp_path / "a.mp4", frames=60, options={"g": "10"})
    return [first, *(shutil.copy2(first, tmp_path / f"{name}.mp4") for name in "bc")]


@pytest.fixture
def run(monkeypatch):
    """Clean on two workers, to which something may happen."""

    @contextmanager
    def connected(address, **options):
        node = {"Alive": True, "Resources": {"CPU": 4.0}}
        yield SimpleNamespace(nodes=lambda: [node], available_resources=lambda: {"CPU": 4.0})

    def clean(clips, told=None, *, network=NULL, meets=lambda work: None,
              introduces=lambda number: None, **options):  # fmt: skip
        def workers(ray, network, need):
            return Workers(network, meets, introduces)

        monkeypatch.setattr(offline, "connected", connected)
        monkeypatch.setattr(offline, "Workers", workers)
        jobs, refused = plan_jobs([str(clip) for clip in clips], None)
        settings = CleanOptions(**({"preset": "superfast", "segment_s": 0.8} | options))
        told = told or Told()
        return clean_on_cluster(
            jobs, refused, network, settings, ClusterOptions("auto"), told, told
        )  # fmt: skip

    return clean


def target_of(clip):
    return clip.with_name(f"{clip.stem}.clean.mp4")


def test_all_videos_are_cleaned_and_reported_in_their_order(clips, run):
    told = Told()
    report = run(clips, told, evidence=True)
    assert report.exit_code == 0
    assert [job.input for job in report.jobs] == [str(clip) for clip in clips]
    assert [model.name for model in report.models] == ["null"]
    assert len(told.reports) == 3
    for clip, job in zip(clips, report.jobs, strict=True):
        assert (job.frames_in, job.frames_out, job.segments) == (60, 60, 3)
        assert len(planes(target_of(clip))) == 60
        assert not StateFolder(target_of(clip)).path.exists()


def test_a_short_video_is_one_piece_as_it_is_on_one_machine(clips, run):
    assert run(clips[:1], segment_s=None).jobs[0].segments == 1


def test_a_segment_that_cannot_be_cleaned_fails_its_video_alone(clips, run):
    def meets(work):
        return Answer(error="it is dark") if work == (1, 1) else None

    report = run(clips, meets=meets)
    assert report.exit_code == 1
    assert [job.ok for job in report.jobs] == [True, False, True]
    said = report.jobs[1].error
    assert re.fullmatch(
        r"it is dark; \d of 3 segments are kept, and --resume continues there", said
    )
    assert not target_of(clips[1]).exists()
    kept = len(StateFolder(target_of(clips[1])).load().done)
    assert kept >= 1
    resumed = run(clips, resume=True).jobs
    assert [job.skipped for job in resumed] == [True, False, True]
    assert (resumed[1].resumed, resumed[1].frames_out, resumed[1].ok) == (kept, 60, True)


def test_a_source_that_is_none_and_a_target_that_is_there_fail_alone(clips, run):
    clips[0].write_bytes(b"no video")
    target_of(clips[2]).write_bytes(b"precious")
    report = run(clips)
    assert [job.ok for job in report.jobs] == [False, True, False]
    assert "a.mp4" in report.jobs[0].error
    assert "already exists" in report.jobs[2].error
    assert target_of(clips[2]).read_bytes() == b"precious"
    assert sorted(path.name for path in clips[0].parent.iterdir()) == [
        "a.mp4", "b.clean.mp4", "b.mp4", "c.clean.mp4", "c.mp4",
    ]  # fmt: skip


def test_a_lost_worker_is_replaced_and_its_segment_cleaned_again(clips, run):
    lost = []

    def meets(work):
        if work[1] == 1 and work not in lost:
            lost.append(work)
            return "lost"
        return None

    told = Told()
    report = run(clips, told, meets=meets)
    assert report.exit_code == 0
    assert sorted(lost) == [(0, 1), (1, 1), (2, 1)]
    assert sum("is cleaned again" in note for note in told.notes) == 3


def test_a_segment_that_ends_every_worker_fails_its_video_alone(clips, run):
    met = []

    def meets(work):
        met.append(work)
        return "lost" if work == (0, 2) else None

    report = run(clips, meets=meets)
    assert [job.ok for job in report.jobs] == [False, True, True]
    assert met.count((0, 2)) == 3
    assert "segment 2 of" in report.jobs[0].error
    assert "has ended 3 workers (its process ended)" in report.jobs[0].error
    assert "2 of 3 segments are kept" in report.jobs[0].error


def test_a_worker_that_is_unlike_the_first_takes_no_part(clips, run):
    def introduces(number):
        model = {"name": "null", "sha256": None, "device": "cuda", "runtime": "none"}
        return {"model": model} if number else None

    told = Told()
    assert run(clips, told, introduces=introduces).exit_code == 0
    assert len(told.notes) == 1
    assert "a worker takes no part: node 10.0.0.1 has none on cuda for the model" in told.notes[0]


def test_where_no_worker_can_open_the_network_one_sentence_says_why(clips, run):
    with pytest.raises(ClusterError, match=r"nothing\.onnx is not there.* \(on node 10\.0\.0\.1\)"):
        run(clips, network=NetworkChoice(model="/nothing.onnx"))
    assert len(list(clips[0].parent.iterdir())) == 3


def test_a_job_that_was_begun_with_another_network_is_not_continued(clips, run):
    def stopped(work):
        if work == (0, 1):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="1 segment of 1 video is kept, and --resume continues"):
        run(clips[:1], meets=stopped)
    network = NetworkChoice(model="video-xs", backend="onnx", device="cpu")
    report = run(clips[:1], network=network, resume=True)
    assert "it was begun with the model null, not video-xs" in report.jobs[0].error
    assert run(clips[:1], resume=True).jobs[0].resumed == 1


def test_ctrl_c_before_anything_is_done_leaves_nothing(clips, run):
    def stopped(work):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(clips, meets=stopped)
    assert sorted(path.name for path in clips[0].parent.iterdir()) == ["a.mp4", "b.mp4", "c.mp4"]


def test_a_damaged_manifest_is_one_sentence_and_loses_nothing(clips, run):
    def stopped(work):
        if work == (0, 2):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(clips[:1], meets=stopped)
    folder = StateFolder(target_of(clips[0]))
    folder.manifest_path.write_text("{")
    before = sorted(path.name for path in folder.path.iterdir())
    assert len([name for name in before if name.endswith(".nut")]) == 2
    report = run(clips[:2], resume=True)
    assert [job.ok for job in report.jobs] == [False, True]
    assert "manifest.json is damaged; the segments beside it are left" in report.jobs[0].error
    assert sorted(path.name for path in folder.path.iterdir()) == before


def test_a_full_disk_is_one_sentence_and_loses_nothing(clips, run, small_disk):
    big = make_clip(small_disk / "big.mkv", frames=40, options={"g": "10", "crf": "40"})
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    os.truncate(filler, filler.stat().st_size - 40_000)
    lossless = {"codec": "ffv1", "preset": None}
    report = run([big], **lossless)
    assert "no room left to write" in report.jobs[0].error
    assert not (small_disk / "big.clean.mkv").exists()
    assert not [path for path in small_disk.rglob("*") if path.name.startswith(".")]
    filler.unlink()
    assert run([big], resume=True, **lossless).jobs[0].frames_out == 40


def test_pictures_pipes_and_samples_are_not_for_a_cluster(clips, run, tmp_path):
    (tmp_path / "still.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"still\.png isn't one"):
        run([*clips, tmp_path / "still.png"])
    with pytest.raises(UsageError, match="standard input isn't one"):
        run(["-"])
    with pytest.raises(UsageError, match="--sample takes a piece"):
        run(clips, sample_s=1.0)


def test_looking_ahead_goes_with_video_networks_only(clips, run):
    with pytest.raises(UsageError, match="null looks at each frame alone"):
        run(clips, lookahead=2)
    assert len(list(clips[0].parent.iterdir())) == 3


def test_recordings_in_a_store_are_cleaned_with_nothing_shared_but_the_store(clips, run, tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="needs streamderain[storage]")
    store = fsspec.filesystem("memory")
    lost = []

    def meets(work):
        if work == (0, 1) and not lost:
            lost.append(work)
            return "lost"
        return None

    try:
        store.pipe("/cluster/a.mp4", clips[0].read_bytes())
        assert run(["memory://cluster/a.mp4"], meets=meets, evidence=True).exit_code == 0
        assert sorted(store.find("/cluster")) == [
            "/cluster/a.clean.mp4", "/cluster/a.clean.mp4.evidence.json", "/cluster/a.mp4",
        ]  # fmt: skip
        (tmp_path / "got.mp4").write_bytes(store.cat("/cluster/a.clean.mp4"))
        assert len(planes(tmp_path / "got.mp4")) == 60
    finally:
        store.rm("/cluster", recursive=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2"], "go with --ray ADDRESS"),
        (["--ray", "nonsense"], "'nonsense' is no address of a Ray cluster"),
        (["--ray", "auto", "--sample", "1s"], "--sample takes a piece of a video"),
        (["--ray", "auto", "--model", "sunshine"], "no model is named 'sunshine'"),
    ],
)
def test_wrong_words_are_refused_before_a_cluster_is_looked_for(clips, capsys, words, said):
    assert main(["clean", str(clips[0]), *words]) == 2
    assert said in capsys.readouterr().err


def test_where_nobody_is_at_work_the_batch_waits_instead_of_turning():
    workers = RealWorkers(MagicMock(), NetworkChoice(model="null"), Need(1.0))
    began = time.monotonic()
    assert list(workers.wait(0.05)) == []
    assert time.monotonic() - began >= 0.05
