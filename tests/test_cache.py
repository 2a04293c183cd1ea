"""Where runtimes keep what they have prepared."""

import os
from pathlib import Path

import pytest

from streamderain.inference.cache import VARIABLE, cache_folder, chosen_folder

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
