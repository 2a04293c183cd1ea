"""Recordings in stores, against fsspec's own store in memory: as commands take them."""

import contextlib
import json
import subprocess
import sys

import pytest

from streamderain.errors import UsageError
from streamderain.jobs import plan_jobs
from streamderain.storage.files import Store
from tests.clips import make_clip
from tests.stores import clean, names, put


def test_a_pattern_becomes_a_job_each_in_natural_order(memory):
    for number in (10, 9):
        memory.pipe_file(f"/cam/f{number}.mp4", b"x")
    memory.pipe_file("/cam/f9.txt", b"x")
    jobs, refused = plan_jobs(["memory://cam/*.mp4"], "memory://out")
    assert not refused
    assert [str(job.sources[0]) for job in jobs] == ["memory://cam/f9.mp4", "memory://cam/f10.mp4"]
    assert [str(job.targets[0]) for job in jobs] == ["memory://out/f9.mp4", "memory://out/f10.mp4"]
    with pytest.raises(UsageError, match="several inputs can't go into the one file"):
        plan_jobs(["memory://cam/*.mp4"], "memory://out/all.mp4")
    jobs, refused = plan_jobs(["memory://cam/*.mkv"], None)
    assert not jobs
    assert "nothing matches memory://cam/*.mkv" in str(refused[0].error)


def test_a_folder_of_a_store_keeps_its_shape_and_its_results_are_no_sources(memory, tmp_path):
    for name in ("a.mp4", "sub/b.dav", "sub/p1.png", "sub/p2.png", "a.clean.mp4", ".x/c.mp4"):
        memory.pipe_file(f"/cam/{name}", b"x")
    jobs, _ = plan_jobs(["memory://cam"], str(tmp_path))
    found = [[target.relative_to(tmp_path).as_posix() for target in job.targets] for job in jobs]
    assert found == [["a.mp4"], ["sub/b.mkv"], ["sub/p1.png", "sub/p2.png"]]
    jobs, _ = plan_jobs(["memory://cam/"], "memory://cam/out/")
    assert str(jobs[1].targets[0]) == "memory://cam/out/sub/b.mkv"
    jobs, _ = plan_jobs(["memory://cam/a.mp4"], None)
    assert [str(job.targets[0]) for job in jobs] == ["memory://cam/a.clean.mp4"]


def test_from_store_to_store_is_as_from_disk_to_disk(memory, tmp_path):
    clip = make_clip(tmp_path / "gate.mp4", frames=20, audio_tracks=1)
    assert clean(clip, "-o", tmp_path / "local.mp4") == 0
    source = put(memory, clip, "/cam/gate.mp4")
    assert clean(source, "-o", "memory://clean/gate.mp4") == 0
    assert names(memory) == ["/cam/gate.mp4", "/clean/gate.mp4"]
    memory.get_file("/clean/gate.mp4", str(tmp_path / "stored.mp4"))
    assert (tmp_path / "stored.mp4").read_bytes() == (tmp_path / "local.mp4").read_bytes()
    assert clean(source, "-o", f"{tmp_path}/mixed/") == 0
    assert (tmp_path / "mixed/gate.mp4").read_bytes() == (tmp_path / "local.mp4").read_bytes()


def test_pictures_go_from_a_store_to_a_store(memory, tmp_path):
    import cv2
    import numpy as np

    for name in ("p1.png", "p2.png"):
        cv2.imwrite(str(tmp_path / name), np.full((16, 16, 3), 90, np.uint8))
        put(memory, tmp_path / name, f"/cam/{name}")
    assert clean("memory://cam", "-o", "memory://out") == 0
    assert names(memory) == ["/cam/p1.png", "/cam/p2.png", "/out/p1.png", "/out/p2.png"]


def test_what_exists_is_found_before_anything_is_fetched(memory, tmp_path, capsys, monkeypatch):
    source = put(memory, make_clip(tmp_path / "gate.mp4"), "/cam/gate.mp4")
    memory.pipe_file("/clean/gate.mp4", b"theirs")
    monkeypatch.setattr(Store, "fetch", lambda *_: pytest.fail("fetched"))
    assert clean(source, "-o", "memory://clean/") == 1
    assert "memory://clean/gate.mp4 already exists; name another target" in capsys.readouterr().err
    assert clean(source, "-o", "memory://clean/", "--resume") == 0
    assert "is there already" in capsys.readouterr().err
    assert memory.cat_file("/clean/gate.mp4") == b"theirs"
    assert clean(source, "-o", source, "--overwrite") == 1
    assert "is the source itself" in capsys.readouterr().err
    monkeypatch.undo()
    assert clean(source, "-o", "memory://clean/", "--overwrite") == 0
    assert len(memory.cat_file("/clean/gate.mp4")) > 1000


def test_a_broken_source_is_named_as_the_user_has_named_it(memory, tmp_path, capsys):
    memory.pipe_file("/cam/gate.mp4", b"no video at all" * 99)
    report = tmp_path / "report.jsonl"
    assert clean("memory://cam/gate.mp4", "-o", tmp_path, "--report", report) == 1
    said = capsys.readouterr().err
    assert "memory://cam/gate.mp4 is not a video that can be read" in said
    (line,) = report.read_text("ascii").splitlines()
    assert json.loads(line)["input"] == "memory://cam/gate.mp4"
    assert "temporary" not in said + line


@pytest.mark.parametrize("option", ["--report", "--summary", "--sign"])
def test_what_must_be_on_this_machine_is_said(option, tmp_path, capsys):
    assert clean(make_clip(tmp_path / "gate.mp4"), option, "s3://bucket/x") == 2
    assert f"{option} takes a file on this machine" in capsys.readouterr().err


def test_a_kind_that_needs_a_package_names_it(capsys):
    for scheme, package in (("gs", "gcsfs"), ("az", "adlfs"), ("oci", "ocifs")):
        with contextlib.suppress(ImportError):
            __import__(package)
            continue
        assert clean(f"{scheme}://bucket/x.mp4") == 2
        assert f"pip install '{package}'" in capsys.readouterr().err
    assert clean("nothing://bucket/x.mp4") == 2
    assert "not known to fsspec" in capsys.readouterr().err
    assert clean("https://host/x.mp4") == 2
    assert "can be read but not written" in capsys.readouterr().err


def test_without_fsspec_the_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['fsspec'] = None\n"
        "from streamderain.cli import main; sys.exit(main(['clean', 's3://bucket/x.mp4']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert "pip install 'streamderain[storage]' 's3fs'" in done.stderr
    assert done.stderr.count("\n") == 1
