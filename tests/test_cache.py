"""Where runtimes keep what they have prepared."""

import os
import time
from pathlib import Path

import pytest

from streamderain.inference.cache import (
    VARIABLE,
    BlobCache,
    cache_folder,
    chosen_folder,
    key_of,
)

HOME = Path("/home/ada")


@pytest.mark.parametrize(
    ("environment", "platform", "folder"),
    [
        ({}, "linux", HOME / ".cache" / "streamderain"),
        ({"XDG_CACHE_HOME": "/var/tmp/c"}, "linux", Path("/var/tmp/c/streamderain")),
        ({"XDG_CACHE_HOME": "relative"}, "linux", HOME / ".cache" / "streamderain"),
        ({}, "darwin", HOME / "Library" / "Caches" / "streamderain"),
        ({}, "win32", HOME / "AppData" / "Local" / "streamderain" / "cache"),
        ({"LOCALAPPDATA": "/local"}, "win32", Path("/local/streamderain/cache")),
        ({VARIABLE: "/elsewhere"}, "linux", Path("/elsewhere")),
        ({VARIABLE: "off"}, "linux", None),
        ({VARIABLE: "0"}, "win32", None),
        ({VARIABLE: ""}, "darwin", None),
    ],
)
def test_each_system_has_its_place_and_a_variable_names_another(environment, platform, folder):
    assert chosen_folder(environment, platform, HOME) == folder


def test_a_folder_is_made(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "a" / "b"))
    assert cache_folder("c") == tmp_path / "a" / "b" / "c"
    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_where_there_can_be_no_folder_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "off")
    assert cache_folder("c") is None
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    assert cache_folder("c") is None


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_none(monkeypatch, tmp_path):
    (tmp_path / "c").mkdir(mode=0o500)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert cache_folder("c") is None


def test_what_is_stored_is_there_again(tmp_path):
    BlobCache(tmp_path).store("a", b"compiled")
    assert BlobCache(tmp_path).load("a") == b"compiled"
    assert BlobCache(tmp_path).load("b") is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.blob"]  # no part of it beside it


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 40])
def test_what_is_damaged_is_not_there_and_is_written_anew(tmp_path, damage):
    cache = BlobCache(tmp_path)
    cache.store("a", b"compiled")
    (tmp_path / "a.blob").write_bytes(damage)
    assert cache.load("a") is None
    cache.store("a", b"compiled")
    assert cache.load("a") == b"compiled"


def test_a_byte_that_was_turned_is_seen(tmp_path):
    cache = BlobCache(tmp_path)
    cache.store("a", bytes(1000))
    stored = bytearray((tmp_path / "a.blob").read_bytes())
    stored[500] ^= 1
    (tmp_path / "a.blob").write_bytes(stored)
    assert cache.load("a") is None


def test_the_oldest_goes_when_it_is_full(tmp_path):
    cache = BlobCache(tmp_path, most_bytes=1000)
    for index, key in enumerate("abc"):
        cache.store(key, bytes(260))
        os.utime(tmp_path / f"{key}.blob", (index, index))
    cache.load("a")  # it was asked for just now
    cache.store("d", bytes(260))
    assert cache.load("b") is None
    assert None not in (cache.load("a"), cache.load("c"), cache.load("d"))
    cache.store("e", bytes(2000))
    assert cache.load("e") is None


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path):
    now = time.time()
    for name, age in ((".left.part", 4000), (".begun.part", 3000)):
        (tmp_path / name).write_bytes(b"half of it")
        os.utime(tmp_path / name, (now - age, now - age))
    BlobCache(tmp_path).store("a", b"compiled")
    assert {path.name for path in tmp_path.iterdir()} == {"a.blob", ".begun.part"}


def test_no_folder_or_a_lost_one_is_no_cache(tmp_path):
    for cache in (BlobCache(None), BlobCache(tmp_path / "lost")):
        cache.store("a", b"compiled")
        assert cache.load("a") is None


def test_keys_differ_by_every_part():
    assert len({key_of("a", 1), key_of("a", "1"), key_of("a1"), key_of(1, "a")}) == 4
