"""Jobs that are stopped and continued: what is kept, what is trusted, what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from streamderain.cli import main
from streamderain.errors import OutputError
from streamderain.inference.create import create_backend
from streamderain.segments.job import SegmentedJob
from streamderain.segments.manifest import StateFolder
from streamderain.segments.work import Settings, clean_segment
from tests.clips import make_clip, planes, read_all
from tests.waiting import until


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "gate.mp4", frames=100, audio_tracks=1, options={"g": "10"})


@pytest.fixture
def backend():
    with create_backend("null") as opened:
        yield opened


STEADY = "superfast"
"""Without its macroblock tree x264 writes the same twice; with it, it reads beyond some rows."""


def clean(clip, *words):
    return main(["clean", str(clip), "--model", "null", "--segment", "0.8s", "--preset", STEADY,
                 *words])  # fmt: skip


def begin(clip, backend, segments=2, **settings):
    """Do the first segments of a job, and let it go as a power cut does."""
    target = clip.with_name("gate.clean.mp4")
    job = SegmentedJob(clip, target, backend, Settings(preset=STEADY, **settings), segment_s=0.8)
    for segment in job.pending():
        if segment.span.number == segments:
            break
        job.accept(clean_segment(job.carrying(segment), backend))
    job._folder.unlock()
    return target, job._folder


def undisturbed(clip, tmp_path):
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    copy = shutil.copy2(clip, folder / clip.name)
    assert clean(copy) == 0
    return planes(folder / "gate.clean.mp4")


def same(one, other):
    return len(one) == len(other) and all(
        all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(one, other, strict=True)
    )


def test_a_job_is_continued_where_it_was_stopped(tmp_path, clip, backend, capsys):
    target, folder = begin(clip, backend, 3)
    written = {path.name: path.stat().st_mtime_ns for path in folder.path.glob("*.nut")}
    assert len(written) == 3
    assert clean(clip, "--resume", "--json") == 0
    report = json.loads(capsys.readouterr().out)["jobs"][0]
    assert (report["segments"], report["resumed"], report["frames_out"]) == (5, 3, 100)
    assert not folder.path.exists()
    assert same(planes(target), undisturbed(clip, tmp_path))


def test_an_unfinished_job_is_neither_lost_nor_continued_unasked(clip, backend, capsys):
    target, folder = begin(clip, backend)
    for words in ([], ["--segment", "0.8s"]):
        assert main(["clean", str(clip), "--model", "null", *words]) == 1
        said = capsys.readouterr().err
        assert "2 of 5 segments" in said
        assert "--resume" in said
        assert not target.exists()
        assert len(list(folder.path.glob("*.nut"))) == 2
    assert clean(clip, "--overwrite") == 0
    assert len(planes(target)) == 100
    assert not folder.path.exists()


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (None, ["--crf", "30"], "--crf unset, not 30"),
        (None, ["--always"], "--always off, not on"),
        (None, ["--segment", "1s"], "segments of 0.8 s, not 1"),
        (None, ["--model", "video-xs", "--backend", "onnx"], "the model null, not video-xs"),
        ("touched", [], "gate.mp4 has changed"),
        ("another", [], "gate.mp4 has changed"),
        ("version", [], "begun by streamderain 0.0.1, not"),
    ],
)
def test_only_what_agrees_is_continued(clip, backend, capsys, change, words, said):
    _, folder = begin(clip, backend)
    if change == "touched":
        os.utime(clip, ns=(0, 0))
    if change == "another":
        status = clip.stat()
        content = bytearray(clip.read_bytes())
        content[-1] ^= 1
        clip.write_bytes(content)
        os.utime(clip, ns=(status.st_atime_ns, status.st_mtime_ns))
    if change == "version":
        manifest = json.loads(folder.manifest_path.read_text())
        folder.manifest_path.write_text(json.dumps(manifest | {"version": "0.0.1"}))
    assert clean(clip, "--resume", *words) == 1
    assert said in capsys.readouterr().err
    assert len(list(folder.path.glob("*.nut"))) == 2, "nothing is lost"


def test_a_damaged_segment_is_cleaned_again(tmp_path, clip, backend, capsys):
    for number, damage in enumerate(("flip", "cut", "gone", "account")):
        target, folder = begin(clip, backend, 3)
        path = folder.account(1) if damage == "account" else folder.piece(1)
        content = bytearray(path.read_bytes())
        if damage == "gone":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(content[:-20])
        else:
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        assert clean(clip, "--resume", "--json") == 0
        said = capsys.readouterr()
        report = json.loads(said.out)["jobs"][0]
        assert report["resumed"] == 2
        assert "00001.nut is damaged or missing; it is cleaned again" in said.err
        if not number:
            expected = undisturbed(clip, tmp_path)
            capsys.readouterr()
        assert same(planes(target), expected)
        target.unlink()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 3}', "is damaged"),
        ('{"format": 4, "all": "else"}', "is of another version of streamderain (format 4, not 3)"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_left_as_it_is(clip, backend, capsys, content, said):
    _, folder = begin(clip, backend)
    folder.manifest_path.write_text(content)
    for words in (["--resume"], []):
        assert clean(clip, *words) == 1
        lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error")]
        assert len(lines) == 1
        assert said in lines[0]
        assert folder.manifest_path.read_text() == content
        assert len(list(folder.path.glob("*.nut"))) == 2


def test_two_jobs_on_one_target_refuse_each_other(clip, backend, capsys):
    target = clip.with_name("gate.clean.mp4")
    with SegmentedJob(clip, target, backend, Settings(), segment_s=0.8):
        for words in ([], ["--resume"], ["--overwrite"]):
            assert clean(clip, *words) == 1
            assert f"{target} is being written by another process" in capsys.readouterr().err
        assert main(["clean", str(clip), "--model", "null"]) == 1
        assert "is being written by another process" in capsys.readouterr().err
    assert clean(clip) == 0


def test_a_lock_ends_with_its_process(clip):
    code = (
        "import sys, os; from pathlib import Path\n"
        "from streamderain.segments.manifest import StateFolder\n"
        "StateFolder(Path(sys.argv[1])).lock(); print('locked', flush=True); sys.stdin.read()"
    )
    target = clip.with_name("gate.clean.mp4")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        folder = StateFolder(target)
        with pytest.raises(OutputError, match="another process"):
            folder.lock()
        other.kill()
        other.wait()
        folder.lock()
        folder.remove()
    assert not folder.path.exists()


def test_a_full_disk_keeps_what_is_done(small_disk, tmp_path, backend, capsys):
    clip = make_clip(tmp_path / "gate.mp4", frames=100, height=96, width=128, options={"g": "10"})
    target = small_disk / "clean.mkv"
    words = ["clean", str(clip), "-o", str(target), "--model", "null", "--segment", "0.8s",
             "--codec", "ffv1"]  # fmt: skip
    assert main(words) == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error")]
    assert len(lines) == 1
    assert "no room left" in lines[0]
    assert "segments are kept, and --resume continues there" in lines[0]
    assert not target.exists()
    kept = StateFolder(target)
    manifest = kept.load()
    assert 0 < len(manifest.done) < 5
    assert sorted(path.name for path in kept.path.glob("*.nut")) == [
        kept.piece(number).name for number in manifest.done
    ]
    assert main(words) == 1, "and nothing was taken as an order to begin anew"
    assert StateFolder(target).load() == manifest


def test_a_second_run_leaves_what_is_done(clip, capsys):
    target = clip.with_name("gate.clean.mp4")
    assert clean(clip) == 0
    before = target.stat()
    capsys.readouterr()
    assert clean(clip, "--resume", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["jobs"][0]["skipped"]
    assert "is there already and left as it is" in said.err
    assert target.stat() == before
    assert clean(clip) == 1
    assert "already exists" in capsys.readouterr().err


def test_a_stranger_in_the_folder_is_never_removed(clip, backend):
    _, folder = begin(clip, backend)
    (folder.path / "notes.txt").write_text("mine")
    (folder.path / "00001.nut.txt").write_text("mine")
    assert clean(clip, "--overwrite") == 0
    assert sorted(path.name for path in folder.path.iterdir()) == ["00001.nut.txt", "notes.txt"]


def test_a_source_that_is_cut_short_is_cleaned_and_said_to_be(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.mkv", frames=100, options={"g": "10"})
    clip.write_bytes(clip.read_bytes()[:-4000])
    assert clean(clip) == 1
    report = capsys.readouterr().err
    assert "gate.mkv is truncated" in report
    assert 50 < len(read_all(tmp_path / "gate.clean.mkv")[0]) < 100


def test_what_cannot_be_cut_is_cleaned_in_one_piece(tmp_path, capsys):
    clip = make_clip(tmp_path / "gate.avi", frames=50, encoder="mpeg4", time_base=Fraction(1, 25))
    assert clean(clip, "--json") == 0
    report = json.loads(capsys.readouterr().out)["jobs"][0]
    assert (report["segments"], report["frames_out"]) == (1, 50)
    assert "can't be cut at its key frames" in report["notes"][0]


@pytest.mark.parametrize(
    "words", [["--sample", "2s", "--resume"], ["--segment", "0.1s"], ["-o", "-", "--resume"]]
)
def test_words_that_make_no_sense_together_are_wrong_usage(clip, words):
    assert main(["clean", str(clip), "--model", "null", *words]) == 2


@pytest.mark.parametrize("moment", ["unlink", "remove"])
def test_a_job_killed_after_its_target_got_its_name_is_done(clip, backend, moment, monkeypatch):
    target, folder = begin(clip, backend, 5)
    child = os.fork()
    if not child:
        job = SegmentedJob(
            clip, target, backend, Settings(preset=STEADY), segment_s=0.8, resume=True
        )
        owner, name = (Path, "unlink") if moment == "unlink" else (StateFolder, "remove")
        monkeypatch.setattr(owner, name, lambda *_, **__: os._exit(9))
        job.join()
        job.__exit__(None, None, None)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert target.exists()
    assert folder.load() is not None
    whole = target.read_bytes()
    assert clean(clip, "--resume") == 0
    assert target.read_bytes() == whole
    assert not folder.path.exists()


@pytest.mark.parametrize(
    "left",
    [("over.json",), ("lock", "over.json"), ("lock", "00003.nut", "00003.json", "over.json")],
)
def test_a_job_killed_while_it_tidied_up_is_done_and_tidied_up(clip, capsys, left):
    assert clean(clip) == 0
    target = clip.with_name("gate.clean.mp4")
    whole, folder = target.read_bytes(), StateFolder(target)
    folder.path.mkdir()
    for name in left:
        (folder.path / name).touch()
    assert clean(clip, "--resume") == 0
    assert "is there already and left as it is" in capsys.readouterr().err
    assert target.read_bytes() == whole
    assert not folder.path.exists()


@pytest.mark.parametrize("left", [(), ("lock",), ("lock", "00003.nut")])
def test_a_job_killed_before_its_manifest_is_not_taken_for_a_done_one(clip, capsys, left):
    assert clean(clip) == 0
    target = clip.with_name("gate.clean.mp4")
    whole, folder = target.read_bytes(), StateFolder(target)
    for words, code, found in (([], 1, b"an old one"), (["--overwrite"], 0, whole)):
        folder.path.mkdir(exist_ok=True)
        for name in left:
            (folder.path / name).touch()
        target.write_bytes(b"an old one")
        assert clean(clip, "--resume", *words) == code
        assert target.read_bytes() == found
    assert "already exists" in capsys.readouterr().err
    assert not folder.path.exists()


def test_a_job_that_another_process_tidies_up_is_left_to_it(clip, capsys):
    assert clean(clip) == 0
    folder = StateFolder(clip.with_name("gate.clean.mp4"))
    folder.lock()
    (folder.path / "over.json").touch()
    try:
        assert not StateFolder(clip.with_name("gate.clean.mp4")).tidy_up()
        assert clean(clip, "--resume") == 1
        assert "is being written by another process" in capsys.readouterr().err
        assert folder.path.exists()
    finally:
        folder.remove()
    assert not folder.path.exists()


def test_a_strange_file_under_the_name_of_the_target_is_never_taken_for_it(clip, backend, capsys):
    target, folder = begin(clip, backend, 5)
    target.write_bytes(b"precious")
    assert clean(clip, "--resume") == 1
    assert "already exists" in capsys.readouterr().err
    assert target.read_bytes() == b"precious"
    assert len(list(folder.path.glob("*.nut"))) == 5


def test_a_stop_keeps_what_is_done_and_says_so(tmp_path):
    clip = make_clip(tmp_path / "gate.mp4", frames=1500, height=96, width=128, options={"g": "10"})
    target = tmp_path / "gate.clean.mp4"
    words = [sys.executable, "-m", "streamderain", "clean", str(clip), "--model", "null",
             "--segment", "0.8s"]  # fmt: skip
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        state = StateFolder(target)
        until(lambda: (found := state.load()) is not None and len(found.done) > 1, 60)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(60) == 130
    assert "interrupted: " in said
    assert "segments are kept, and --resume continues there" in said
    assert not target.exists()
    assert len(state.load().done) > 1
