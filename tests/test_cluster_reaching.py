"""How a worker gets to its files, and what it wrote to whoever joins."""

import re
import threading
from pathlib import Path

import pytest

from streamderain.cluster.reaching import at_hand, attempt_of, take_up
from streamderain.errors import InputError, OutputError
from streamderain.segments.manifest import StateFolder, identify_source
from streamderain.segments.plan import Span
from streamderain.segments.work import Segment, Settings
from streamderain.storage.copies import SourceCache

NODE = "10.0.0.3"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "rain.mp4"
    path.write_bytes(b"rain" * 1000)
    return path


def segment_of(source, target):
    return Segment(
        source=str(source), target=str(target), whole="x.mp4", span=Span(number=0),
        settings=Settings(),
    )  # fmt: skip


def reach(segment, identity):
    with SourceCache() as cache, at_hand(segment, identity, cache, NODE) as here:
        return here


def test_files_that_all_nodes_share_are_used_where_they_are(source, tmp_path):
    segment = segment_of(source, tmp_path / "00000.nut")
    assert reach(segment, identify_source(source)) == segment


def test_a_recording_that_is_not_on_a_node_is_told_of_with_the_node(source, tmp_path):
    identity = identify_source(source)
    source.unlink()
    said = f"{source} isn't on node {NODE}; videos and targets must be on storage that all nodes"
    with pytest.raises(InputError, match=re.escape(said)):
        reach(segment_of(source, tmp_path / "00000.nut"), identity)


def test_another_recording_of_the_same_name_is_not_cleaned(source, tmp_path):
    identity = identify_source(source)
    source.write_bytes(b"snow" * 1000)
    with pytest.raises(InputError, match=f"on node {NODE} is another file than here"):
        reach(segment_of(source, tmp_path / "00000.nut"), identity)


def test_a_copy_of_another_age_is_the_same_recording(source, tmp_path):
    identity = identify_source(source).model_copy(update={"modified_ns": 1})
    assert reach(segment_of(source, tmp_path / "00000.nut"), identity)


def test_a_target_that_a_node_cannot_reach_is_told_of_before_hours_of_work(source, tmp_path):
    with pytest.raises(OutputError, match=f"nowhere isn't on node {NODE}"):
        reach(segment_of(source, tmp_path / "nowhere" / "00000.nut"), identify_source(source))


def test_no_two_attempts_write_the_same_file_and_both_are_tidied_up(source, tmp_path):
    folder = StateFolder(tmp_path / "rain.clean.mp4")
    folder.lock()
    segment = segment_of(source, folder.piece(3))
    attempts = [Path(attempt_of(segment, number).target) for number in (1, 2)]
    assert attempts[0] != attempts[1]
    for path in attempts:
        path.write_bytes(b"cut off")
    folder.clear(leftovers=True)
    assert [path.name for path in folder.path.iterdir()] == ["lock"]
    folder.remove()


def test_what_was_written_is_taken_up_even_if_it_shows_late(tmp_path):
    written, piece = tmp_path / ".00000.nut.part-1", tmp_path / "00000.nut"
    timer = threading.Timer(0.3, written.write_bytes, [b"piece"])
    timer.start()
    take_up(str(written), piece, NODE)
    assert piece.read_bytes() == b"piece"
    assert not written.exists()
    timer.join()


def test_what_does_not_show_is_told_of(tmp_path):
    with pytest.raises(OutputError, match=f"what node {NODE} wrote for .*nut isn't here; videos"):
        take_up(str(tmp_path / ".00000.nut.part-1"), tmp_path / "00000.nut", NODE, wait_s=0)
