"""Addresses of stores, and copies to and from them, against fsspec's own store in memory."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from streamderain.errors import InputError, OutputError, UsageError
from streamderain.storage import copies
from streamderain.storage.address import RemotePath, place_of, shown
from streamderain.storage.copies import SourceCache, delivered, work_folder
from streamderain.storage.errors import explain, is_passing
from streamderain.storage.files import Store
from streamderain.writers.video import VideoFileWriter
from tests.clips import make_clip
from tests.stores import clean, names, put


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


def test_the_key_of_a_store_is_as_secret_as_its_password():
    place = place_of("s3://AKIA0123456789ABCDEF:hunter22@bucket/gate.mp4")
    sentence = str(explain(ValueError('invalid bucket "AKIA0123456789ABCDEF:hunter22"'), place))
    assert "AKIA" not in sentence
    assert "hunter22" not in sentence


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


def test_a_remote_path_is_plain_data():
    assert place_of("s3://b/x") == RemotePath("s3", "b", "/x")
    assert len({place_of("s3://b/x"), place_of("s3://b/x/")}) == 1


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
