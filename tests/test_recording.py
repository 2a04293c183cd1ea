"""Recordings in segments: whole, in time, and playable even when nobody closed them."""

import subprocess
import sys

import av
import pytest

from streamderain.errors import OutputError
from streamderain.live.outlet import WRITER_ERROR
from streamderain.metrics import luma, psnr
from streamderain.writers.base import LeftOutError
from streamderain.writers.recording import FAILED, STEADY_S, Retries, SegmentRecorder
from tests.clips import picture, read_all
from tests.live_frames import live_frame

START = 1_795_236_372_000_000_000  # 2026-11-21T04:46:12Z
STEP = 40_000_000


def frame(index, *, size=(48, 64), session=0):
    made = live_frame(index, session=session)
    made.pixels = picture(*size, index)
    made.t_capture_ns = START + index * STEP
    return made


def record(folder, frames, **settings):
    recorder = SegmentRecorder(folder, "gate", **settings)
    for each in frames:
        recorder.write(each)
    recorder.close()
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_segment_holds_the_frames_at_their_times_in_their_colours(tmp_path, container, codec):
    names = record(tmp_path, map(frame, range(30)), container=container, codec=codec)
    assert names == [f"gate-20261121T044612Z.{container}"]
    got, _ = read_all(tmp_path / names[0])
    assert len(got) == 30
    times = [float(each.pts * each.time_base) for each in got]
    assert times == pytest.approx([index * 0.04 for index in range(30)], abs=0.001)
    for index in (0, 29):
        assert psnr(luma(got[index].pixels), luma(picture(48, 64, index))) > 35


def test_a_new_segment_begins_when_one_is_long_enough(tmp_path):
    names = record(tmp_path, map(frame, range(60)), segment_s=1.0)
    assert names == [
        "gate-20261121T044612Z.mp4", "gate-20261121T044613Z.mp4", "gate-20261121T044614Z.mp4",
    ]  # fmt: skip
    assert [len(read_all(tmp_path / name)[0]) for name in names] == [25, 25, 10]


def test_a_new_size_or_session_begins_a_new_segment(tmp_path):
    frames = [frame(0), frame(1), frame(2, size=(64, 48)), frame(3, size=(64, 48), session=1)]
    names = record(tmp_path, frames)
    assert names == [
        "gate-20261121T044612Z-1.mp4", "gate-20261121T044612Z-2.mp4", "gate-20261121T044612Z.mp4",
    ]  # fmt: skip


def test_a_clock_that_steps_back_begins_a_new_segment(tmp_path):
    frames = [frame(100), frame(101), frame(0)]
    assert len(record(tmp_path, frames)) == 2


def test_what_is_there_is_never_written_over(tmp_path):
    (tmp_path / "gate-20261121T044612Z.mp4").write_bytes(b"precious")
    record(tmp_path, [frame(0)])
    assert (tmp_path / "gate-20261121T044612Z.mp4").read_bytes() == b"precious"


def test_odd_sizes_keep_every_pixel(tmp_path):
    (name,) = record(tmp_path, [frame(0, size=(49, 65))])
    assert read_all(tmp_path / name)[0][0].pixels.shape == (49, 65, 3)


def test_the_cameras_id_goes_into_the_folder(tmp_path):
    SegmentRecorder(tmp_path / "{camera}" / "clean", "gate")
    assert (tmp_path / "gate" / "clean").is_dir()


CRASH = """
import os, sys
sys.path.insert(0, ".")
from tests.test_recording import frame, SegmentRecorder
from pathlib import Path
recorder = SegmentRecorder(Path(sys.argv[1]), "gate", container=sys.argv[2])
for index in range(130):
    recorder.write(frame(index))
os._exit(9)
"""


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_after_a_crash_all_but_the_last_seconds_can_be_played(tmp_path, container):
    done = subprocess.run(
        [sys.executable, "-c", CRASH, tmp_path, container], timeout=60, check=False
    )
    assert done.returncode == 9
    (path,) = tmp_path.iterdir()
    with av.open(str(path)) as opened:
        times = [each.time for each in opened.decode(video=0)]
    assert times[-1] > 130 * 0.04 - 1.0
    assert times == sorted(times)


def playable(folder):
    """How many frames each file of a folder holds; all can be decoded up to the end."""
    counts = []
    for path in sorted(folder.iterdir()):
        with av.open(str(path)) as opened:
            counts.append(sum(1 for _ in opened.decode(video=0)))
    return counts


class Filling:
    """A recorder on a full disk, whose own clock goes by the frames."""

    def __init__(self, folder, **settings):
        self.index = 0
        self.recorder = SegmentRecorder(
            folder, "gate", crf=10, monotonic=lambda: self.index * STEP / 1e9, **settings
        )

    def write(self, frames):
        """Write so many frames; return what became of each: "written", or why it wasn't."""
        outcomes = []
        for _ in range(frames):
            try:
                self.recorder.write(frame(self.index, size=(240, 320)))
                outcomes.append("written")
            except LeftOutError as error:
                outcomes.append(error.reason)
            except OutputError as error:
                outcomes.append(str(error))
            self.index += 1
        return outcomes


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_full_disk_is_said_once_and_loses_little_of_what_was_written(
    small_disk, container, codec
):
    filling = Filling(small_disk, container=container, codec=codec)
    outcomes = filling.write(600)
    (said,) = (each for each in outcomes if each not in ("written", FAILED))
    assert "no room left to write" in said
    assert FAILED == WRITER_ERROR
    before = outcomes.index(said)
    (kept,) = playable(small_disk)  # no second file, and none that is empty
    assert before - 25 <= kept < before  # a second
    runs = "".join("w" if each == "written" else "." for each in outcomes[before:]).split(".")
    assert max(map(len, runs)) <= 25  # each further try loses a second at most
    assert len([run for run in runs if run]) <= 5  # after 1, 2, 4 and 8 s


def test_recording_goes_on_when_there_is_room_again_and_says_so(small_disk, caplog):
    caplog.set_level("INFO", "streamderain")
    filling = Filling(small_disk)
    filling.write(200)
    for path in small_disk.iterdir():
        path.unlink()
    filling.recorder._crf = 51  # so that it stays
    outcomes = filling.write(round((8 + STEADY_S + 1) * 25))
    assert outcomes[-1] == "written"
    filling.recorder.close()
    went_on = [each for each in caplog.messages if "it is recorded again" in each]
    assert len(went_on) == 1
    assert playable(small_disk) == [outcomes.count("written")]


def test_the_end_of_a_segment_that_finds_no_room_keeps_what_was_whole(small_disk):
    filling = Filling(small_disk)
    filling.write(40)
    rest = small_disk / "rest"
    with pytest.raises(OSError, match="space"):
        rest.write_bytes(bytes(1 << 20))
    with pytest.raises(OutputError, match="no room"):
        filling.recorder.close()
    rest.unlink()
    (kept,) = playable(small_disk)
    assert 0 < kept < 40


def test_a_segment_that_never_got_a_frame_leaves_no_file(small_disk):
    rest = small_disk / "rest"
    with pytest.raises(OSError, match="space"):
        rest.write_bytes(bytes(1 << 20))
    outcomes = Filling(small_disk).write(100)
    assert "written" not in outcomes
    assert list(small_disk.iterdir()) == [rest]


def test_an_encoder_that_cannot_be_is_said_once_and_leaves_no_file(tmp_path):
    outcomes = Filling(tmp_path, preset="warp").write(50)
    assert outcomes[0] != "written"
    assert set(outcomes[1:]) == {FAILED}
    assert not list(tmp_path.iterdir())


def test_tries_are_further_apart_each_time_up_to_a_minute():
    retries, now, waits = Retries(), 100.0, []
    for _ in range(9):
        assert retries.may_open(now)
        retries.failed("full", now)
        began = now
        while not retries.may_open(now):
            now += 0.5
        waits.append(now - began)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_failure_is_news_once_until_recording_was_steady():
    retries = Retries()
    assert not retries.worked(0.0)
    assert retries.failed("full", 1.0)
    assert not retries.failed("full", 2.0)
    assert retries.failed("refused", 4.0)
    assert not retries.worked(8.0)  # a fragment's frames were taken, and then failed
    assert not retries.failed("refused", 9.0)
    assert not retries.worked(20.0)
    assert not retries.worked(20.0 + STEADY_S - 0.1)
    assert retries.worked(20.0 + STEADY_S)
    assert not retries.worked(21.0 + STEADY_S)
    assert retries.failed("refused", 60.0)
    assert retries.may_open(61.0)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        SegmentRecorder(tmp_path / "file" / "x", "gate")
