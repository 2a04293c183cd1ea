"""Long recordings in stores and their evidence, against fsspec's own store in memory."""

import json

import pytest

from streamderain.cli import main
from streamderain.inference.create import create_backend
from streamderain.jobs import plan_jobs
from streamderain.segments.job import SegmentedJob
from streamderain.segments.work import Settings, clean_segment
from streamderain.storage import copies
from streamderain.storage.copies import SourceCache, delivered
from streamderain.storage.files import Store
from streamderain.storage.staging import staged
from tests.clips import make_clip, planes
from tests.stores import clean, names, put


def test_segments_that_were_cleaned_elsewhere_are_joined_here(memory, tmp_path):
    """As a worker on another machine does it: all it knows is the segment."""
    clip = make_clip(tmp_path / "gate.mp4", frames=60, audio_tracks=1, options={"g": "10"})
    source = put(memory, clip, "/cam/gate.mp4")
    (job,), _ = plan_jobs([source], "memory://clean/")
    with create_backend("null") as backend, staged(job) as files, SourceCache() as sources:
        settings = Settings(preset="superfast")
        with SegmentedJob(
            files.sources[0], files.targets[0], backend, settings, segment_s=0.8,
            folder=files.state,
        ) as work:  # fmt: skip
            for segment in work.pending():
                there = files.elsewhere(work.carrying(segment))
                assert there.source == source
                assert there.target.startswith("memory://clean/gate.mp4.streamderain/")
                with sources.local(there.source) as path, delivered(there.target) as piece:
                    result = clean_segment(
                        there.model_copy(update={"source": str(path), "target": str(piece)}),
                        backend,
                    )
                work.accept(result)
            assert len(work.done) > 1
            work.join()
        files.deliver()
    assert names(memory) == ["/cam/gate.mp4", "/clean/gate.mp4"]
    memory.get_file("/clean/gate.mp4", str(tmp_path / "stored.mp4"))
    assert clean(clip, "-o", tmp_path / "local.mp4", "--segment", "0.8s") == 0
    assert (tmp_path / "stored.mp4").read_bytes() == (tmp_path / "local.mp4").read_bytes()


def stop_after(monkeypatch, segments):
    """Have a job end as by a power cut, after so many segments."""
    accept = SegmentedJob.accept

    class PowerCutError(BaseException):
        pass

    def accepting(self, result):
        accept(self, result)
        if len(self.done) == segments:
            self._folder.unlock()
            raise PowerCutError

    monkeypatch.setattr(SegmentedJob, "accept", accepting)
    return PowerCutError


def test_a_job_goes_on_with_what_the_store_has(memory, tmp_path, capsys, monkeypatch):
    clip = make_clip(tmp_path / "gate.mp4", frames=100, options={"g": "10"})
    source = put(memory, clip, "/cam/gate.mp4")
    words = (source, "-o", "memory://clean/gate.mp4", "--segment", "0.8s")
    with pytest.raises(stop_after(monkeypatch, 2)):
        clean(*words)
    monkeypatch.undo()
    monkeypatch.setattr(copies.tempfile, "tempdir", str(tmp_path / "temporary"))
    state = "/clean/gate.mp4.streamderain"
    assert {f"{state}/manifest.json", f"{state}/00001.nut", f"{state}/00001.json"} <= {
        *names(memory)
    }
    capsys.readouterr()
    assert clean(*words) == 1
    said = capsys.readouterr().err
    assert "memory://clean/gate.mp4.streamderain holds an unfinished job (2 of" in said
    damaged = bytearray(memory.cat_file(f"{state}/00001.nut"))
    damaged[200] ^= 1
    memory.pipe_file(f"{state}/00001.nut", bytes(damaged))
    memory.pipe_file(f"{state}/mine.txt", b"mine")
    assert clean(*words, "--resume", "--evidence") == 0
    said = capsys.readouterr().err
    assert "memory://clean/gate.mp4.streamderain/00001.nut is damaged or missing" in said
    assert names(memory) == [
        "/cam/gate.mp4", "/clean/gate.mp4", "/clean/gate.mp4.evidence.json", f"{state}/mine.txt",
    ]  # fmt: skip
    memory.get_file("/clean/gate.mp4", str(tmp_path / "stored.mp4"))
    assert len(planes(tmp_path / "stored.mp4")) == 100


@pytest.mark.parametrize("segments", [0, 1])
def test_who_has_lost_the_claim_stops_and_touches_nothing(segments, memory, tmp_path, capsys,
                                                          monkeypatch):  # fmt: skip
    clip = make_clip(tmp_path / "gate.mp4", frames=60, options={"g": "10"})
    source = put(memory, clip, "/cam/gate.mp4")
    state = "/clean/gate.mp4.streamderain"
    accept = SegmentedJob.accept

    def accepting(self, result):
        if len(self.done) == segments:  # slept for too long, and another one has begun
            memory.pipe_file(f"{state}/lock", b'{"token": "theirs", "host": "other", "pid": 7}')
            memory.pipe_file(f"{state}/manifest.json", b"theirs")
        accept(self, result)

    monkeypatch.setattr(SegmentedJob, "accept", accepting)
    assert clean(source, "-o", "memory://clean/gate.mp4", "--segment", "0.8s") == 1
    assert "is being written by another process (7 on other)" in capsys.readouterr().err
    assert memory.cat_file(f"{state}/manifest.json") == b"theirs"
    assert b"theirs" in memory.cat_file(f"{state}/lock")
    assert not memory.exists("/clean/gate.mp4")


def test_who_was_killed_after_delivering_is_only_tidied_up_after(memory, tmp_path, monkeypatch):
    source = put(
        memory, make_clip(tmp_path / "gate.mp4", frames=60, options={"g": "10"}), "/cam/gate.mp4"
    )
    words = (source, "-o", "memory://clean/gate.mp4", "--segment", "0.8s")

    class PowerCutError(BaseException):
        pass

    deliver = Store.deliver

    def dying(self, path, place, **kept):
        deliver(self, path, place, **kept)
        if place.name == "gate.mp4":
            raise PowerCutError

    monkeypatch.setattr(Store, "deliver", dying)
    with pytest.raises(PowerCutError):
        clean(*words)
    monkeypatch.undo()
    monkeypatch.setattr(copies.tempfile, "tempdir", str(tmp_path / "temporary"))
    first = memory.cat_file("/clean/gate.mp4")
    assert memory.exists("/clean/gate.mp4.streamderain/manifest.json")
    assert clean(*words, "--resume") == 0
    assert names(memory) == ["/cam/gate.mp4", "/clean/gate.mp4"]
    assert len(memory.cat_file("/clean/gate.mp4")) == len(first)


def test_evidence_is_verified_where_it_is(memory, tmp_path, capsys):
    source = put(memory, make_clip(tmp_path / "gate.mp4"), "/cam/gate.mp4")
    assert clean(source, "-o", "memory://clean/", "--evidence") == 0
    evidence = memory.cat_file("/clean/gate.mp4.evidence.json").decode()
    assert "temporary" not in evidence
    assert main(["verify", "memory://clean/gate.mp4", "--source", source]) == 0
    assert "memory://cam/gate.mp4 was its source" in capsys.readouterr().out
    memory.pipe_file("/clean/gate.mp4", b"another")
    assert main(["verify", "memory://clean/gate.mp4"]) == 1
    assert "memory://clean/gate.mp4 is not the video that was written" in capsys.readouterr().err
    capsys.readouterr()
    memory.pipe_file("/videos/clean/gate.mp4", b"another")
    for folder in ("memory://clean", "memory://videos/clean/", str(tmp_path)):
        assert main(["verify", folder]) == 1
        said = capsys.readouterr().err
        assert f"{folder.rstrip('/')} is a folder; name its videos" in said
    memory.rm("/clean/gate.mp4.evidence.json")
    assert main(["verify", "memory://clean/gate.mp4"]) == 1
    assert "there is no evidence at memory://clean/gate.mp4.evidence" in capsys.readouterr().err


def test_a_pattern_verifies_all_that_it_matches(memory, tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mp4")
    for name in ("a", "b"):
        put(memory, clip, f"/cam/{name}.mp4")
    assert clean("memory://cam/", "-o", "memory://clean/", "--evidence") == 0
    assert main(["verify", "memory://clean/*"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in said] == [
        "memory://clean/a.mp4", "memory://clean/b.mp4",
    ]  # fmt: skip
    assert main(["verify", "memory://clean/*.avi"]) == 1
    assert "nothing matches memory://clean/*.avi" in capsys.readouterr().err
    assert main(["verify", "memory://clean/*.mp4", "--source", "memory://cam/a.mp4"]) == 2


def test_what_is_wrong_with_a_source_names_it_in_its_evidence(memory, tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mkv", frames=60)
    whole = clip.read_bytes()
    memory.pipe_file("/cam/gate.mkv", whole[: len(whole) // 2])
    assert clean("memory://cam/gate.mkv", "-o", "memory://clean/", "--evidence") == 1
    said = json.loads(memory.cat_file("/clean/gate.mkv.evidence.json"))["statement"]
    assert said["problems"]
    assert all(each.startswith("memory://cam/gate.mkv is truncated") for each in said["problems"])
    capsys.readouterr()
    assert main(["verify", "memory://clean/gate.mkv"]) == 0
    told = capsys.readouterr()
    assert ", incomplete; " in told.out
    assert told.err == f"note: {said['problems'][0]}\n"
