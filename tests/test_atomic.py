"""A file is whole and there, or not there."""

import errno
import os

import pytest

from streamderain.errors import OutputError
from streamderain.writers import atomic
from streamderain.writers.atomic import AtomicFile, explain_os_error


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_target_appears_only_at_the_end(tmp_path):
    file = AtomicFile(tmp_path / "a.mp4")
    file.path.write_bytes(b"whole")
    assert not (tmp_path / "a.mp4").exists()
    assert file.path.parent == tmp_path
    file.commit()
    assert (tmp_path / "a.mp4").read_bytes() == b"whole"
    assert names(tmp_path) == ["a.mp4"]


def test_what_is_discarded_leaves_nothing(tmp_path):
    file = AtomicFile(tmp_path / "a.mp4")
    file.discard()
    file.discard()
    assert names(tmp_path) == []


def test_an_old_target_stays_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "a.mp4"
    target.write_bytes(b"old")
    file = AtomicFile(target, overwrite=True)
    file.path.write_bytes(b"new")
    assert target.read_bytes() == b"old"
    file.commit()
    assert target.read_bytes() == b"new"


def test_a_target_that_appears_meanwhile_is_left_alone(tmp_path):
    target = tmp_path / "a.mp4"
    file = AtomicFile(target)
    target.write_bytes(b"of someone else")
    with pytest.raises(OutputError, match="already exists"):
        file.commit()
    assert target.read_bytes() == b"of someone else"
    assert names(tmp_path) == ["a.mp4"]


def test_a_dangling_link_is_an_existing_target(tmp_path):
    target = tmp_path / "a.mp4"
    target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="already exists"):
        AtomicFile(target)


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_source_is_never_replaced_by_whatever_name(tmp_path, link):
    source = tmp_path / "a.mp4"
    source.write_bytes(b"precious")
    link(source, tmp_path / "b.mp4")
    with pytest.raises(OutputError, match="same file as the source"):
        AtomicFile(tmp_path / "b.mp4", overwrite=True, sources=[source])
    assert source.read_bytes() == b"precious"


def test_a_file_system_without_hard_links_still_replaces_nothing(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(atomic.os, "link", no_links)
    file = AtomicFile(tmp_path / "a.mp4")
    file.path.write_bytes(b"whole")
    file.commit()
    assert (tmp_path / "a.mp4").read_bytes() == b"whole"
    late = AtomicFile(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").write_bytes(b"of someone else")
    with pytest.raises(OutputError, match="already exists"):
        late.commit()
    assert (tmp_path / "b.mp4").read_bytes() == b"of someone else"
    assert names(tmp_path) == ["a.mp4", "b.mp4"]


def test_the_longest_name_has_room_for_its_temporary_one(tmp_path):
    name = "ü" * 125 + ".mp4"  # 254 bytes
    file = AtomicFile(tmp_path / name)
    file.path.write_bytes(b"whole")
    file.commit()
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no room left to write"), (errno.EACCES, "no permission to write"),
        (errno.EROFS, "read-only file system"), (errno.ENOENT, "does not exist"),
        (errno.EIO, "check the disk"),
    ],
)  # fmt: skip
def test_what_the_system_says_becomes_a_sentence_with_advice(tmp_path, number, words):
    error = explain_os_error(OSError(number, os.strerror(number)), tmp_path / "a.mp4")
    assert words in str(error)
    assert str(tmp_path) in str(error)
