"""What a command line asks for: which sources go to which targets."""

import errno
import os
from pathlib import Path

import pytest

from streamderain.errors import UsageError
from streamderain.jobs import JobKind, mark_of, plan_jobs


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def targets(jobs):
    return [target for job in jobs for target in job.targets]


def test_a_video_goes_beside_itself_when_no_output_is_named(tmp_path):
    touch(tmp_path, "gate.mp4")
    jobs, errors = plan_jobs([str(tmp_path / "gate.mp4")], None)
    assert not errors
    assert jobs[0].kind is JobKind.VIDEO
    assert jobs[0].targets == (tmp_path / "gate.clean.mp4",)


def test_a_comparison_is_named_so(tmp_path):
    touch(tmp_path, "gate.mp4")
    jobs, _ = plan_jobs([str(tmp_path / "gate.mp4")], None, word="compare")
    assert jobs[0].targets == (tmp_path / "gate.compare.mp4",)


def test_a_container_that_is_not_written_becomes_matroska(tmp_path):
    touch(tmp_path, "gate.dav")
    jobs, _ = plan_jobs([str(tmp_path / "gate.dav")], None)
    assert jobs[0].targets == (tmp_path / "gate.clean.mkv",)


def test_a_named_output_is_a_file_unless_it_is_a_folder(tmp_path):
    touch(tmp_path, "gate.mp4", "out/.keep")
    source = str(tmp_path / "gate.mp4")
    assert targets(plan_jobs([source], str(tmp_path / "x.mkv"))[0]) == [tmp_path / "x.mkv"]
    assert targets(plan_jobs([source], str(tmp_path / "out"))[0]) == [tmp_path / "out/gate.mp4"]
    assert targets(plan_jobs([source], f"{tmp_path}/new/")[0]) == [tmp_path / "new/gate.mp4"]


def test_several_inputs_need_a_folder(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4")
    names = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    with pytest.raises(UsageError, match="name a folder"):
        plan_jobs(names, str(tmp_path / "one.mp4"))
    assert targets(plan_jobs(names, str(tmp_path / "o"))[0]) == [
        tmp_path / "o/a.mp4",
        tmp_path / "o/b.mp4",
    ]


def test_a_missing_input_does_not_stop_the_others(tmp_path):
    touch(tmp_path, "a.mp4")
    jobs, errors = plan_jobs([str(tmp_path / "none.mp4"), str(tmp_path / "a.mp4")], None)
    assert len(jobs) == 1
    assert "none.mp4 does not exist" in str(errors[0].error)


def test_a_folder_keeps_its_shape(tmp_path):
    cameras = touch(tmp_path / "cameras", "a.mp4", "night/b.mkv", "night/c.txt", ".hidden.mp4")
    jobs, _ = plan_jobs([str(cameras)], str(tmp_path / "out"))
    assert sorted(targets(jobs)) == [tmp_path / "out/a.mp4", tmp_path / "out/night/b.mkv"]


def test_pictures_of_a_folder_are_one_job_in_natural_order(tmp_path):
    folder = touch(tmp_path / "p", "f10.png", "f9.png", "f1.JPG")
    jobs, _ = plan_jobs([str(folder)], None)
    assert len(jobs) == 1
    assert jobs[0].kind is JobKind.PICTURES
    assert [path.name for path in jobs[0].sources] == ["f1.JPG", "f9.png", "f10.png"]
    assert jobs[0].targets[0] == tmp_path / "p.clean/f1.JPG"


def test_results_of_an_earlier_run_are_not_cleaned_again(tmp_path):
    folder = touch(tmp_path / "p", "a.mp4", "a.clean.mp4", "out/a.mp4")
    jobs, _ = plan_jobs([str(folder)], str(folder / "out"))
    assert [job.sources[0].name for job in jobs] == ["a.mp4"]


def test_an_empty_folder_is_an_error_of_its_own(tmp_path):
    folder = touch(tmp_path / "p", "notes.txt")
    jobs, errors = plan_jobs([str(folder)], None)
    assert not jobs
    assert "no videos and no pictures" in str(errors[0].error)


def test_two_inputs_of_one_name_are_refused(tmp_path):
    touch(tmp_path, "a/x.mp4", "b/x.mp4")
    with pytest.raises(UsageError, match="both be written"):
        plan_jobs([str(tmp_path / "a/x.mp4"), str(tmp_path / "b/x.mp4")], f"{tmp_path}/out/")


def test_pipes_go_alone(tmp_path):
    with pytest.raises(UsageError, match="one of several"):
        plan_jobs(["-", "a.mp4"], None)
    jobs, _ = plan_jobs(["-"], None)
    assert (jobs[0].kind, jobs[0].targets) == (JobKind.RAW, ())
    jobs, _ = plan_jobs(["-"], "x.mp4")
    assert jobs[0].targets == (Path("x.mp4"),)


def test_raw_output_takes_exactly_one_video(tmp_path):
    touch(tmp_path, "a.mp4", "b.mp4", "c.png")
    jobs, _ = plan_jobs([str(tmp_path / "a.mp4")], "-")
    assert jobs[0].targets == ()
    with pytest.raises(UsageError, match="exactly one video"):
        plan_jobs([str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")], "-")
    with pytest.raises(UsageError, match="exactly one video"):
        plan_jobs([str(tmp_path / "c.png")], "-")


def test_a_folder_that_is_closed_is_named_and_the_rest_is_cleaned(tmp_path, monkeypatch):
    (tmp_path / "cam/locked").mkdir(parents=True)
    (tmp_path / "cam/a.mp4").write_bytes(b"")
    scandir = os.scandir

    def closed(path):  # as root everything is open
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    jobs, refused = plan_jobs([str(tmp_path / "cam")], None)
    assert [job.sources[0].name for job in jobs] == ["a.mp4"]
    assert refused[0].input == str(tmp_path / "cam/locked")
    assert "can't be looked into (Permission denied)" in str(refused[0].error)
    (tmp_path / "cam/a.mp4").unlink()
    jobs, refused = plan_jobs([str(tmp_path / "cam")], None)
    assert not jobs
    assert "holds no videos" not in str(refused[0].error)


def test_an_address_is_told_where_to_go_without_its_password():
    jobs, refused = plan_jobs(["rtsp://me:secret@10.0.0.1/x"], None)
    assert not jobs
    error = str(refused[0].error)
    assert "rtsp://***@10.0.0.1/x is an address of a camera; clean takes files" in error
    assert "secret" not in refused[0].input


def test_comparisons_keep_their_mark_in_a_folder(tmp_path):
    (tmp_path / "cam").mkdir()
    for name in ("cam/a.mp4", "cam/b.png"):
        (tmp_path / name).write_bytes(b"")
    jobs, _ = plan_jobs([str(tmp_path / "cam/a.mp4")], f"{tmp_path}/out/", word="compare")
    assert targets(jobs) == [tmp_path / "out/a.compare.mp4"]
    jobs, _ = plan_jobs([str(tmp_path / "cam")], f"{tmp_path}/out/", word="compare")
    assert targets(jobs) == [tmp_path / "out/a.compare.mp4", tmp_path / "out/b.compare.png"]


@pytest.mark.parametrize(
    ("compare", "sample", "word"),
    [
        (False, False, "clean"),
        (True, False, "compare"),
        (False, True, "sample"),
        (True, True, "sample.compare"),
    ],
)
def test_every_kind_of_result_has_a_name_of_its_own(tmp_path, compare, sample, word):
    touch(tmp_path, "gate.mp4")
    assert mark_of(compare=compare, sample=sample) == word
    source = str(tmp_path / "gate.mp4")
    assert targets(plan_jobs([source], None, word=word)[0]) == [tmp_path / f"gate.{word}.mp4"]
    in_folder = "gate.mp4" if word == "clean" else f"gate.{word}.mp4"
    jobs, _ = plan_jobs([source], f"{tmp_path}/out/", word=word)
    assert targets(jobs) == [tmp_path / "out" / in_folder]
    jobs, _ = plan_jobs([str(tmp_path)], None, word=word)
    assert targets(jobs) == [tmp_path.with_name(f"{tmp_path.name}.{word}") / in_folder]


@pytest.mark.parametrize("word", ["clean", "compare", "sample", "sample.compare"])
def test_no_result_of_any_earlier_run_is_a_source(tmp_path, word):
    results = ["a.clean.mp4", "a.compare.mp4", "a.sample.mp4", "a.sample.compare.mp4"]
    folder = touch(tmp_path / "p", "a.mp4", *results, "b.png", "b.clean.png", "b.compare.png")
    jobs, _ = plan_jobs([str(folder)], None, word=word)
    assert [path.name for job in jobs for path in job.sources] == ["a.mp4", "b.png"]


def test_a_name_that_ends_in_sample_is_a_source_unless_its_video_is_beside_it(tmp_path):
    folder = touch(tmp_path / "p", "a.sample.mp4", "b.mp4", "b.sample.png", "c/b.sample.mp4")
    jobs, _ = plan_jobs([str(folder)], None)
    names = {path.name for job in jobs for path in job.sources}
    assert names == {"a.sample.mp4", "b.mp4", "b.sample.png", "b.sample.mp4"}


def test_an_input_that_is_named_twice_is_said_to_be(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    with pytest.raises(UsageError, match="is named twice"):
        plan_jobs([str(path), str(path)], f"{tmp_path}/out/")
