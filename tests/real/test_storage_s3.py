"""Recordings in a bucket, by a real S3 server and s3fs: cleaned, stopped, continued, refused."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("s3fs", reason="needs s3fs")
pytest.importorskip("moto", reason="needs moto[s3]")
pytest.importorskip("flask_cors", reason="moto's server needs flask and flask-cors")

import fsspec

from streamderain.cli import main
from streamderain.errors import OutputError
from streamderain.storage.address import place_of
from streamderain.storage.files import Store
from tests.clips import frame_times, planes
from tests.real.s3 import closed_port, s3_server
from tests.showers import make_shower
from tests.waiting import until

WORDS = ("--model", "video-xs", "--backend", "onnx", "--device", "cpu", "--precision", "float",
         "--preset", "superfast", "--segment", "0.8s")  # fmt: skip
STATE = "bucket/clean/rain.mp4.streamderain"


@pytest.fixture(scope="module")
def server():
    with s3_server() as environment:
        yield environment


@pytest.fixture(scope="module")
def rain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rain")
    return make_shower(
        folder / "rain.mp4", frames=60, height=64, width=128, pan=0.7, audio=True,
        showers=((10, 50),), options={"g": "10"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def expected(rain):
    target = rain.with_name("local.mp4")
    assert main(["clean", str(rain), "-o", str(target), *WORDS]) == 0
    return target


@pytest.fixture
def bucket(server, rain, tmp_path, monkeypatch):
    """A bucket with one recording; and a folder for copies that is looked into at the end."""
    for name, value in server.items():
        monkeypatch.setenv(name, value)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    store = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    store.mkdir("bucket")
    store.put_file(str(rain), "bucket/cam1/rain.mp4")
    yield store
    store.rm("bucket", recursive=True)
    assert not [path for path in temporary.glob("streamderain-*/**/*") if path.is_file()], (
        "no copy is left"
    )
    fsspec.filesystem("s3").clear_instance_cache()


def job(*words, **environment):
    """Start a job as a user does, in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "streamderain", "clean", "s3://bucket/cam1/*.mp4", "-o",
         "s3://bucket/clean/", *WORDS, *words],
        env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def found(bucket):
    return sorted(bucket.find("bucket"))


def done(bucket):
    """Return how many segments the bucket has, as far as its manifest says."""
    if not bucket.exists(f"{STATE}/manifest.json"):
        return 0
    return len(json.loads(bucket.cat_file(f"{STATE}/manifest.json"))["done"])


def assert_same(bucket, expected, folder):
    bucket.get_file("bucket/clean/rain.mp4", str(folder / "stored.mp4"))
    assert frame_times(folder / "stored.mp4") == frame_times(expected)
    pairs = list(zip(planes(folder / "stored.mp4"), planes(expected), strict=True))
    assert pairs
    for a, b in pairs:
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_from_bucket_to_bucket_is_as_from_disk_to_disk(bucket, expected, tmp_path, capsys):
    words = ("clean", "s3://bucket/cam1/*.mp4", "-o", "s3://bucket/clean/", "--model", "video-xs",
             *WORDS[2:])  # fmt: skip
    assert main([*words, "--evidence"]) == 0
    assert found(bucket) == [
        "bucket/cam1/rain.mp4", "bucket/clean/rain.mp4", "bucket/clean/rain.mp4.evidence.json",
    ]  # fmt: skip
    assert_same(bucket, expected, tmp_path)
    capsys.readouterr()
    source = "s3://bucket/cam1/rain.mp4"
    assert main(["verify", "s3://bucket/clean/rain.mp4", "--source", source]) == 0
    assert main([*words]) == 1
    assert "s3://bucket/clean/rain.mp4 already exists" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0


def test_a_job_that_was_killed_goes_on_from_the_bucket(bucket, expected, tmp_path):
    killed = job(TMPDIR=str(tmp_path / "temporary"))
    try:
        until(lambda: done(bucket), 60)
        os.kill(killed.pid, signal.SIGKILL)
    finally:
        killed.kill()
        killed.communicate()
    assert not bucket.exists("bucket/clean/rain.mp4"), "nothing half-written"
    assert bucket.exists(f"{STATE}/lock"), "left behind by the killed"
    elsewhere = tmp_path / "elsewhere"  # nothing of what the first one had on its disk
    elsewhere.mkdir()
    going_on = job("--resume", "--json", TMPDIR=str(elsewhere))
    said = going_on.communicate(timeout=120)[1]
    assert going_on.returncode == 0, said
    assert found(bucket) == ["bucket/cam1/rain.mp4", "bucket/clean/rain.mp4"]
    assert_same(bucket, expected, tmp_path)
    # What the killed one had on its disk, the next one there removes.
    assert (
        main(["clean", "s3://bucket/cam1/rain.mp4", "-o", f"{tmp_path}/", "--model", "null"]) == 0
    )


def test_two_jobs_on_one_output_refuse_each_other(bucket, capsys):
    first = job()
    try:
        until(lambda: done(bucket), 60)
        os.kill(first.pid, signal.SIGSTOP)  # at work for as long as it takes to be refused
        words = ("clean", "s3://bucket/cam1/rain.mp4", "-o", "s3://bucket/clean/", *WORDS)
        assert main([*words]) == 1
        assert main([*words, "--resume"]) == 1
        assert main([*words, "--overwrite"]) == 1
        said = capsys.readouterr().err
        assert said.count("s3://bucket/clean/rain.mp4 is being written by another process") == 3
        os.kill(first.pid, signal.SIGCONT)
        assert first.wait(120) == 0
    finally:
        first.kill()
        first.communicate()
    assert found(bucket) == ["bucket/cam1/rain.mp4", "bucket/clean/rain.mp4"]


def test_one_that_is_interrupted_leaves_what_is_done(bucket, expected, tmp_path):
    stopped = job()
    try:
        until(lambda: done(bucket), 60)
        stopped.send_signal(signal.SIGINT)
        said = stopped.communicate(timeout=60)[1]
    finally:
        stopped.kill()
        stopped.communicate()
    if stopped.returncode == 0:
        pytest.skip("it was done before it could be stopped")
    assert stopped.returncode == 130, said
    assert "--resume continues there" in said
    assert not bucket.exists(f"{STATE}/lock")
    going_on = job("--resume")
    assert "error" not in going_on.communicate(timeout=120)[1]
    assert_same(bucket, expected, tmp_path)


def test_nothing_half_written_is_ever_seen(bucket, rain):
    """Whoever reads the target while it is replaced sees the old one or the new one, whole."""
    bucket.put_file(str(rain), "bucket/clean/rain.mp4")
    seen, stop = set(), threading.Event()

    def look():
        while not stop.is_set():
            seen.add(len(bucket.cat_file("bucket/clean/rain.mp4")))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        words = ("s3://bucket/cam1/rain.mp4", "-o", "s3://bucket/clean/rain.mp4", "--overwrite")
        assert main(["clean", *words, *WORDS]) == 0
    finally:
        stop.set()
        looking.join()
    new = bucket.info("bucket/clean/rain.mp4")["size"]
    assert seen <= {rain.stat().st_size, new}
    assert len(seen | {new}) == 2


def test_what_has_appeared_meanwhile_is_not_replaced(bucket, rain, monkeypatch):
    place = place_of("s3://bucket/clean/rain.mp4")
    monkeypatch.setattr(Store, "info", lambda *_: None)  # who looked saw nothing yet
    bucket.pipe_file("bucket/clean/rain.mp4", b"theirs")
    with pytest.raises(OutputError, match="already exists"):
        Store(place).deliver(rain, place, overwrite=False)
    assert bucket.cat_file("bucket/clean/rain.mp4") == b"theirs"


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("s3://bucket/cam1/none.mp4", "s3://bucket/x/", "s3://bucket/cam1/none.mp4 does not exist"),
        ("s3://nobucket/gate.mp4", "s3://bucket/x/", "the bucket of s3://nobucket/gate.mp4 does"),
        ("s3://nobucket/*.mp4", "s3://bucket/x/", "s3://nobucket/"),
        ("s3://bucket/cam1/rain.mp4", "s3://nobucket/x.mp4", "the bucket of s3://nobucket/"),
        ("s3://bucket/none/", "s3://bucket/x/", "s3://bucket/none does not exist"),
    ],
)
def test_what_is_not_there_is_a_sentence(bucket, source, target, said, capsys):
    assert main(["clean", source, "-o", target, "--model", "null"]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert found(bucket) == ["bucket/cam1/rain.mp4"]


def test_who_may_not_is_told_so(bucket, rain, monkeypatch, capsys):
    import s3fs

    def refused(self, *_, **__):
        raise PermissionError("Access Denied") from RuntimeError(
            os.environ["AWS_SECRET_ACCESS_KEY"]
        )

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "pipe_file", refused)
        words = ["clean", str(rain), "-o", "s3://bucket/x.mp4", "--model", "null"]
        assert main(words) == 1
    said = capsys.readouterr().err
    assert "no permission to write s3://bucket/x.mp4" in said
    assert "s3fs" in said
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    fsspec.filesystem("s3").clear_instance_cache()
    assert main(["clean", "s3://bucket/cam1/rain.mp4", "-o", "s3://bucket/x.mp4"]) == 1
    said = capsys.readouterr().err
    assert "no permission to read s3://bucket" in said
    assert "redentials" in said


def test_a_server_that_does_not_answer_is_a_sentence(bucket, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.filesystem("s3").clear_instance_cache()
    assert main(["clean", "s3://bucket/cam1/rain.mp4", "-o", "s3://bucket/x.mp4"]) == 1
    said = capsys.readouterr().err
    assert "can't be reached" in said
    assert said.count("\n") == 1


def test_a_signed_address_is_read_and_its_signature_is_never_told(
    bucket, expected, tmp_path, capsys
):
    signed = bucket.sign("bucket/cam1/rain.mp4", expiration=600)
    secret = signed.partition("ignature=")[2].partition("&")[0]
    assert len(secret) > 10
    report, summary = tmp_path / "r.jsonl", tmp_path / "s.md"
    target = tmp_path / "rain.mp4"
    words = ("--report", str(report), "--summary", str(summary), "--evidence", "--json")
    assert main(["clean", signed, "-o", str(target), *WORDS, *words]) == 0
    assert main(["--debug", "clean", signed.replace("rain.mp4", "none.mp4"), "-o", "x.mp4"]) == 1
    said = capsys.readouterr()
    evidence = target.with_name("rain.mp4.evidence.json")
    told = said.out + said.err + "".join(p.read_text() for p in (report, summary, evidence))
    assert secret not in told
    assert "rain.mp4?***" in report.read_text()
    assert frame_times(target) == frame_times(expected)
