"""Recordings in stores, against fsspec's own store in memory: addresses, delivery, copies, jobs."""

import contextlib
import errno
import json
import os
import shutil
import subprocess
import sys

import pytest

fsspec = pytest.importorskip("fsspec", reason="stores need fsspec, streamderain[storage]")

from streamderain.cli import main  # noqa: E402
from streamderain.errors import InputError, OutputError, UsageError  # noqa: E402
from streamderain.inference.create import create_backend  # noqa: E402
from streamderain.jobs import plan_jobs  # noqa: E402
from streamderain.segments.job import SegmentedJob  # noqa: E402
from streamderain.segments.work import Settings, clean_segment  # noqa: E402
from streamderain.storage import copies  # noqa: E402
from streamderain.storage.address import RemotePath, place_of, shown  # noqa: E402
from streamderain.storage.copies import SourceCache, delivered, work_folder  # noqa: E402
from streamderain.storage.errors import explain, is_passing  # noqa: E402
from streamderain.storage.files import Store  # noqa: E402
from streamderain.storage.staging import staged  # noqa: E402
from streamderain.writers.video import VideoFileWriter  # noqa: E402
from tests.clips import make_clip, planes  # noqa: E402


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty store in memory, and a folder for copies of its own."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(copies.tempfile, "tempdir", str(temporary))
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    left = [path for path in temporary.rglob("*") if path.is_file()]
    assert not left, "copies are removed"


def put(memory, path, name):
    memory.put_file(str(path), name)
    return f"memory:/{name}"


def names(memory):
    return sorted(memory.find("/"))


def clean(*words):
    return main(["clean", *map(str, words), "--model", "null", "--preset", "superfast"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/cam1/gate.mp4", "s3://bucket/cam1/gate.mp4"),
        ("S3://bucket/cam1/", "s3://bucket/cam1"),
        ("sftp://me:pa%2Fss@host:22/x/gate.mp4", "sftp://***@host:22/x/gate.mp4"),
        ("az://container@account/gate.mp4", "az://container@account/gate.mp4"),
        ("https://u:p4ss@h/gate.mp4?sig=abcd&x=1#t", "https://***@h/gate.mp4?***"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(text, expected):
    place = place_of(text)
    assert str(place) == expected
    assert repr(place) == f"RemotePath({expected!r})"
    for secret in ("pa%2Fss", "p4ss", "abcd"):
        assert secret not in str(place) + repr(place) + shown(text)


def test_an_address_has_parts_as_a_path_has():
    place = place_of("s3://bucket/cam1/gate.old.mp4")
    assert (place.name, place.stem, place.suffix) == ("gate.old.mp4", "gate.old", ".mp4")
    assert str(place.with_name("yard.mp4")) == "s3://bucket/cam1/yard.mp4"
    assert str(place.relative_to(place_of("s3://bucket"))) == "cam1/gate.old.mp4"
    assert place.is_below(place.parent)
    assert not place.is_below(place_of("s3://bucket/cam"))
    assert place_of("file:///tmp/x.mp4").name == "x.mp4"
    signed = "https://host/a/gate.mp4?sig=abcd/x.y"
    assert (place_of(signed).name, place_of(signed).address) == ("gate.mp4", signed)


def test_what_is_escaped_in_an_address_is_not_when_it_logs_in():
    address, login = place_of("sftp://me:pa%2Fss%40@host:22/x.mp4").login
    assert address == "sftp://host:22/x.mp4"
    assert login == {"username": "me", "password": "pa/ss@"}
    for plain in ("sftp://me:pass@host/x.mp4", "https://me:pa%2Fss@host/x.mp4", "s3://b/100%.mp4"):
        assert place_of(plain).login == (plain, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sftp://me:pa/ss@host/x.mp4", "write %2F"),
        ("zip://x.mp4::s3://bucket/a.zip", "within an address"),
        ("s3://", "names nothing"),
        ("s3://bucket/../x.mp4", "holds . or .."),
    ],
)
def test_an_address_that_can_not_be_taken_is_refused(text, said):
    with pytest.raises(UsageError, match=said) as caught:
        place_of(text)
    assert "pa/ss" not in str(caught.value)


def test_what_a_library_says_is_told_without_secrets():
    place = place_of("https://me:hunter22@host/gate.mp4?X-Amz-Signature=0123456789abcdef")
    error = ValueError(f"GET {place.address} failed, signature 0123456789abcdef, hunter22")
    sentence = str(explain(error, place))
    assert "hunter22" not in sentence
    assert "0123456789" not in sentence
    assert sentence.startswith("https://***@host/gate.mp4?*** can't be read")


class AnswerError(Exception):
    """As aiohttp's ClientResponseError is: with the status that the server gave."""

    def __init__(self, status):
        super().__init__(f"{status}, url='https://host/gate.mp4?sig=0123456789'")
        self.status = status


@pytest.mark.parametrize(
    ("status", "sentence", "passing"),
    [
        (403, "no permission to read {} (403 Forbidden); check user and password, and whether "
              "the address has run out", False),
        (404, "{} does not exist; check the name", False),
        (429, "{} can't be read (429 Too Many Requests); check the store and the address", True),
        (503, "{} can't be read (503 Service Unavailable); check the store and the address", True),
        (599, "{} can't be read (599); check the store and the address", True),
    ],
)  # fmt: skip
def test_what_a_web_server_answers_is_told(status, sentence, passing):
    place = place_of("https://host/gate.mp4?sig=0123456789")
    error = FileNotFoundError(place.address)  # what fsspec makes of it
    error.__cause__ = AnswerError(status)
    assert str(explain(error, place)) == sentence.format("https://host/gate.mp4?***")
    assert is_passing(error) is passing


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


def test_a_name_appears_when_all_of_it_is_there(memory, tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"a" * 100)
    seen = []
    put_file = type(memory).put_file

    def slow(self, here, there, **kept):
        seen.append(there)
        put_file(self, here, there, **kept)
        assert not memory.exists("/out/x.mp4")

    monkeypatch.setattr(type(memory), "put_file", slow)
    place = place_of("memory://out/x.mp4")
    Store(place).deliver(tmp_path / "x", place, overwrite=False)
    assert seen[0].startswith("/out/.x.mp4.part-")
    assert names(memory) == ["/out/x.mp4"]
    with pytest.raises(OutputError, match="already exists"):
        Store(place).deliver(tmp_path / "x", place, overwrite=False)

    def cut(self, here, there, **kept):
        memory.pipe_file(there, b"half")

    monkeypatch.setattr(type(memory), "put_file", cut)
    with pytest.raises(OutputError, match="did not arrive whole"):
        Store(place).deliver(tmp_path / "x", place, overwrite=True)
    assert names(memory) == ["/out/x.mp4"], "what was there is, and no part is left"
    assert memory.cat_file("/out/x.mp4") == b"a" * 100


def test_what_passes_is_tried_again_and_what_stays_is_a_sentence(memory, monkeypatch):
    memory.pipe_file("/x", b"content")
    place, pauses, failures = (
        place_of("memory://x"),
        [],
        [TimeoutError("slow"), OSError(16, "busy")],
    )
    cat = type(memory).cat_file

    def flaky(self, path, **kept):
        if failures:
            raise failures.pop(0)
        return cat(self, path, **kept)

    monkeypatch.setattr(type(memory), "cat_file", flaky)
    assert Store(place, pauses.append).read(place) == b"content"
    assert pauses == [1, 2]
    failures += [ConnectionResetError("gone")] * 3
    with pytest.raises(InputError, match=r"memory://x can't be reached \(gone\)"):
        Store(place, pauses.append).read(place)
    failures[:] = [PermissionError("no")]
    with pytest.raises(InputError, match="no permission to read memory://x"):
        Store(place, pauses.append).read(place)
    assert len(pauses) == 4, "who may not need not ask again"


def test_a_full_disk_is_told_before_it_is_full(memory, monkeypatch):
    memory.pipe_file("/cam/x.mp4", b"content")
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        pytest.raises(OutputError, match=r"no room for a copy of memory://cam/x\.mp4 .* to spare"),
        SourceCache() as c,
    ):
        c.local("memory://cam/x.mp4").__enter__()


@pytest.mark.parametrize("words", [[], ["--segment", "0.8s"]])
def test_a_disk_that_is_full_is_not_the_store(memory, tmp_path, capsys, monkeypatch, words):
    source = put(memory, make_clip(tmp_path / "gate.mp4"), "/cam/gate.mp4")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(VideoFileWriter, "_mux", full)
    assert clean(source, "-o", "memory://clean/", *words) == 1
    said = capsys.readouterr().err
    assert f"no room left in {tmp_path}/temporary for the copy of memory://clean/gate.mp4" in said
    assert "name another folder with TMPDIR" in said
    monkeypatch.setattr(type(memory), "get_file", full)
    assert clean(source, "-o", "memory://other/", *words) == 1
    said = capsys.readouterr().err
    assert f"no room left in {tmp_path}/temporary for the copy of {place_of(source)} on" in said


def test_a_source_is_fetched_once_for_all_that_hold_it(memory, monkeypatch, tmp_path):
    memory.pipe_file("/cam/a.mp4", b"first")
    fetched = []
    fetch = Store.fetch
    monkeypatch.setattr(
        Store, "fetch", lambda self, place, path: (fetched.append(place), fetch(self, place, path))
    )
    with SourceCache() as one:
        with one.local("memory://cam/a.mp4") as path:
            assert path.read_bytes() == b"first"
            first = path
        with SourceCache() as other, other.local("memory://cam/a.mp4") as path:
            assert path == first
        with one.local("memory://cam/a.mp4") as path:
            assert path == first
        assert len(fetched) == 1
        memory.pipe_file("/cam/a.mp4", b"changed")
        with one.local("memory://cam/a.mp4") as path:
            assert path.read_bytes() == b"changed"
        assert not first.exists(), "a cache holds the one used last, and those in use"
        assert one.local(str(tmp_path)).__enter__() == tmp_path, "a path is itself"
    assert not path.exists()


def test_what_a_killed_process_has_left_is_removed_by_the_next(memory, tmp_path):
    code = (
        "import os, tempfile, sys; tempfile.tempdir = sys.argv[1]\n"
        "from streamderain.storage.copies import work_folder\n"
        "with work_folder() as f: (f / 'big').write_bytes(b'x'); print(f); sys.stdout.flush();"
        " os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, copies.tempfile.tempdir], capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    left = done.stdout.strip()
    assert os.path.exists(f"{left}/big")  # noqa: PTH110
    with work_folder() as mine, work_folder() as other:
        assert not os.path.exists(left)  # noqa: PTH110
        assert mine.exists()
        assert other.exists()


def test_a_result_is_delivered_when_the_block_ends_well(memory, tmp_path):
    with delivered("memory://out/00001.nut") as path:
        path.write_bytes(b"piece")
        assert names(memory) == []
    assert memory.cat_file("/out/00001.nut") == b"piece"
    with pytest.raises(ValueError, match="stop"), delivered("memory://out/00002.nut") as path:
        path.write_bytes(b"half")
        raise ValueError("stop")
    assert names(memory) == ["/out/00001.nut"]
    with delivered(str(tmp_path / "x")) as path:
        assert path == tmp_path / "x"


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


def test_a_remote_path_is_plain_data():
    assert place_of("s3://b/x") == RemotePath("s3", "b", "/x")
    assert len({place_of("s3://b/x"), place_of("s3://b/x/")}) == 1
