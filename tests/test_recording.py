"""Recordings in segments: whole, in time, and playable even when nobody closed them."""

import subprocess
import sys

import av
import pytest

from streamderain.errors import OutputError
from streamderain.metrics import luma, psnr
from streamderain.writers.recording import SegmentRecorder
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
    assert times[-1] > 130 * 0.04 - 2.6
    assert times == sorted(times)


def test_a_full_disk_is_an_error_of_that_frame_and_the_next_segment_works(small_disk):
    recorder = SegmentRecorder(small_disk, "gate", crf=1)
    with pytest.raises(OutputError, match=r"no space|full|room"):
        for index in range(400):
            recorder.write(frame(index, size=(240, 320)))
        recorder.close()
    for path in small_disk.iterdir():
        path.unlink()
    recorder.write(frame(401))
    recorder.close()
    assert len(list(small_disk.iterdir())) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="file"):
        SegmentRecorder(tmp_path / "file" / "x", "gate")
