"""``VideoCapture`` beside OpenCV's own, and scripts in which one line was changed."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamderain import VideoCapture
from streamderain.readers.scene import SceneReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import make_clip

ROOT = Path(__file__).parents[1]


def film(path, rain, seconds=1.2, size=(108, 192)):
    with SceneReader(height=size[0], width=size[1], seconds=seconds, rain=rain) as reader:
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {
        name: film(folder / f"{name}.mp4", rain)
        for name, rain in (("dry", None), ("heavy", "heavy"))
    }


@pytest.fixture
def both(clips):
    """OpenCV's and ours, of the same file."""
    plain = cv2.VideoCapture(str(clips["dry"]))
    with VideoCapture(str(clips["dry"]), model="null") as ours:
        yield plain, ours
    plain.release()


PROPERTIES = [
    cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS,
    cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_POS_FRAMES, cv2.CAP_PROP_CONVERT_RGB,
    cv2.CAP_PROP_BRIGHTNESS,
]  # fmt: skip


def test_the_usual_properties_are_those_of_opencv_before_and_after_reading(both):
    plain, ours = both
    for read in (0, 1, 3):
        for _ in range(read):
            plain.read(), ours.read()
        for name in PROPERTIES:
            assert ours.get(name) == plain.get(name), name
        assert ours.get(cv2.CAP_PROP_POS_MSEC) == pytest.approx(
            plain.get(cv2.CAP_PROP_POS_MSEC), abs=0.5
        )


def test_the_frames_of_a_dry_file_are_those_of_opencv(both):
    plain, ours = both
    count = 0
    while True:
        (ok, expected), (found, frame) = plain.read(), ours.read()
        assert found == ok
        if not ok:
            break
        count += 1
        assert frame.dtype == np.uint8
        assert frame.flags.c_contiguous
        assert frame.flags.writeable
        # The two convert colours by rounding of their own.
        assert np.abs(frame.astype(int) - expected).mean() < 2
    assert count == 30
    assert frame is None
    assert ours.isOpened() == plain.isOpened()
    assert ours.read() == (False, None)


def test_frames_are_gone_to_as_in_opencv(both):
    plain, ours = both
    for name, value in (
        (cv2.CAP_PROP_POS_FRAMES, 20), (cv2.CAP_PROP_POS_MSEC, 400), (cv2.CAP_PROP_POS_FRAMES, 0),
        (cv2.CAP_PROP_POS_FRAMES, 500),
    ):  # fmt: skip
        assert ours.set(name, value) == plain.set(name, value)
        assert ours.get(cv2.CAP_PROP_POS_FRAMES) == plain.get(cv2.CAP_PROP_POS_FRAMES)
        (ok, expected), (found, frame) = plain.read(), ours.read()
        assert found == ok
        assert ours.get(cv2.CAP_PROP_POS_FRAMES) == plain.get(cv2.CAP_PROP_POS_FRAMES)
        assert not ok or np.abs(frame.astype(int) - expected).mean() < 2


def test_grab_and_retrieve_are_read_in_two_steps(both):
    plain, ours = both
    assert ours.retrieve()[0] == plain.retrieve()[0] is False
    for _ in range(4):
        assert ours.grab() == plain.grab()
    (ok, expected), (found, frame) = plain.retrieve(), ours.retrieve()
    assert ok == found is True
    assert np.abs(frame.astype(int) - expected).mean() < 2
    again = ours.retrieve()[1]
    assert (again == frame).all()
    assert not np.shares_memory(again, frame)


def test_a_frame_is_written_into_what_is_given_where_it_fits(clips):
    with VideoCapture(clips["dry"], model="null") as ours:
        into = np.empty((108, 192, 3), np.uint8)
        ok, frame = ours.read(into)
        assert ok
        assert np.shares_memory(frame, into)
        assert ours.read(np.empty((4, 6, 3), np.uint8))[1].shape == (108, 192, 3)


@pytest.mark.parametrize("source", ["none.mp4", __file__])
def test_what_cannot_be_opened_is_false_and_a_sentence(source, caplog):
    ours, plain = VideoCapture(source, model="null"), cv2.VideoCapture(source)
    assert ours.isOpened() == plain.isOpened() is False
    assert ours.read() == plain.read() == (False, None)
    assert ours.get(cv2.CAP_PROP_FPS) == plain.get(cv2.CAP_PROP_FPS) <= 0
    assert ours.set(cv2.CAP_PROP_POS_FRAMES, 1) == plain.set(cv2.CAP_PROP_POS_FRAMES, 1) is False
    assert Path(source).name in ours.error
    assert ours.error in caplog.text
    ours.release()


def test_failures_are_exceptions_of_opencv_where_that_is_asked_for(tmp_path):
    ours = VideoCapture(model="null")
    assert not ours.isOpened()
    ours.setExceptionMode(True)
    assert ours.getExceptionMode()
    with pytest.raises(cv2.error, match=r"none\.mp4"):
        ours.open(str(tmp_path / "none.mp4"))
    with pytest.raises(cv2.error):
        ours.getBackendName()


def test_another_source_takes_the_place_of_the_first(clips, tmp_path):
    small = make_clip(tmp_path / "small.mp4", frames=3)
    ours = VideoCapture(clips["dry"], model="null")
    assert ours.open(small)
    assert ours.getBackendName() == "STREAMDERAIN"
    assert ours.get(cv2.CAP_PROP_FRAME_WIDTH) == 64
    ours.release()
    assert not ours.isOpened()
    ours.release()


def test_a_camera_has_a_first_frame_a_size_and_a_rate_when_it_is_open():
    with VideoCapture("scene:dry?size=64x48&fps=25", model="null") as ours:
        assert ours.isOpened()
        assert (ours.get(3), ours.get(4)) == (64, 48)
        assert ours.get(cv2.CAP_PROP_POS_FRAMES) == 0
        assert ours.get(cv2.CAP_PROP_FPS) == pytest.approx(25, abs=0.5)
        assert ours.get(cv2.CAP_PROP_FRAME_COUNT) == 0
        assert ours.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        assert not ours.set(cv2.CAP_PROP_POS_FRAMES, 5)
        assert not ours.set(cv2.CAP_PROP_FRAME_WIDTH, 1280)
        ok, frame = ours.read()
        assert ok
        assert frame.shape == (48, 64, 3)
        assert ours.frame.bypass == "null"
        assert ours.read()[0]


def test_a_camera_that_is_not_there_is_false_after_the_timeout_for_opening():
    params = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 400]
    ours = VideoCapture("rtsp://user:geheim@127.0.0.1:9/x", cv2.CAP_FFMPEG, params, model="null")
    assert not ours.isOpened()
    assert "127.0.0.1:9" in ours.error
    assert "geheim" not in ours.error
    assert ours.get(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC) == 400


COUNTS_MOTION = """
import sys
import cv2

cap = cv2.VideoCapture(sys.argv[1])
model = cv2.createBackgroundSubtractorMOG2(history=20, detectShadows=False)
total = count = 0
while True:
    ret, frame = cap.read()
    if not ret:
        break
    mask = model.apply(frame)
    count += 1
    if count > 10:
        total += cv2.countNonZero(mask)
cap.release()
print(count, total)
"""

WRITES_A_FILE = """
import sys
from cv2 import VideoCapture, VideoWriter, VideoWriter_fourcc, CAP_PROP_FPS
from cv2 import CAP_PROP_FRAME_WIDTH, CAP_PROP_FRAME_HEIGHT, GaussianBlur

video = VideoCapture(sys.argv[1])
assert video.isOpened()
size = int(video.get(CAP_PROP_FRAME_WIDTH)), int(video.get(CAP_PROP_FRAME_HEIGHT))
out = VideoWriter(sys.argv[2], VideoWriter_fourcc(*"MJPG"), video.get(CAP_PROP_FPS), size)
while video.grab():
    ok, frame = video.retrieve()
    out.write(GaussianBlur(frame, (3, 3), 0))
video.release()
out.release()
"""

LOOKS_AT_EVERY_FIFTH = """
import sys
import cv2

def frames(path):
    capture = cv2.VideoCapture()
    if not capture.open(path):
        sys.exit("can't open " + path)
    length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    for index in range(0, length, 5):
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        ok, frame = capture.read()
        if ok:
            yield index, capture.get(cv2.CAP_PROP_POS_MSEC), frame
    capture.release()

for index, at, frame in frames(sys.argv[1]):
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    edges = cv2.Canny(grey, 60, 120)
    print(index, round(at), cv2.countNonZero(edges))
"""


def run(script, old, new, folder, *arguments):
    """Run a script as it is, then with one line of it changed; return what both print."""
    printed = []
    for name, text in (("plain", script), ("changed", script.replace(old, new))):
        changed = sum(
            one != other for one, other in zip(script.splitlines(), text.splitlines(), strict=True)
        )
        assert changed == (name == "changed")
        path = folder / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, path, *(a.format(name) for a in arguments)],
            capture_output=True, text=True, timeout=300, cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    return printed


def test_a_motion_detector_is_quieter_in_rain_by_one_line(clips, tmp_path):
    counted = {}
    for name, path in clips.items():
        plain, changed = run(
            COUNTS_MOTION, "cap = cv2.VideoCapture(sys.argv[1])",
            'import streamderain; cap = streamderain.VideoCapture(sys.argv[1], model="video-s")',
            tmp_path, str(path),
        )  # fmt: skip
        (count, before), (same, after) = (map(int, text.split()) for text in (plain, changed))
        assert count == same == 30
        counted[name] = before, after
    truth = counted["dry"][0]
    assert counted["dry"][1] == pytest.approx(truth, rel=0.1)
    assert abs(counted["heavy"][1] - truth) < 0.2 * (counted["heavy"][0] - truth)


def test_a_program_that_writes_files_writes_them_without_rain_by_one_line(clips, tmp_path):
    run(
        WRITES_A_FILE,
        "from cv2 import VideoCapture, VideoWriter, VideoWriter_fourcc, CAP_PROP_FPS",
        "from streamderain import VideoCapture; "
        "from cv2 import VideoWriter, VideoWriter_fourcc, CAP_PROP_FPS",
        tmp_path, str(clips["heavy"]), str(tmp_path / "{}.avi"),
    )  # fmt: skip
    with SceneReader(height=108, width=192, seconds=1.2, rain=None) as reader:
        truth = [cv2.GaussianBlur(reader.clean_frame(at), (3, 3), 0) for at in range(30)]
    errors = {}
    for name in ("plain", "changed"):
        written = cv2.VideoCapture(str(tmp_path / f"{name}.avi"))
        assert written.get(cv2.CAP_PROP_FPS) == 25
        found = [frame[..., ::-1] for _, frame in iter(written.read, (False, None))]
        assert len(found) == 30
        errors[name] = np.mean(
            [np.square(a.astype(float) - b).mean() for a, b in zip(found, truth, strict=True)]
        )
    assert errors["changed"] < 0.4 * errors["plain"]


def test_a_program_that_jumps_through_a_file_does_so_by_one_line(clips, tmp_path):
    plain, changed = run(
        LOOKS_AT_EVERY_FIFTH, "    capture = cv2.VideoCapture()",
        "    import streamderain; capture = streamderain.VideoCapture()", tmp_path,
        str(clips["heavy"]),
    )  # fmt: skip
    before = [line.split() for line in plain.splitlines()]
    after = [line.split() for line in changed.splitlines()]
    assert [line[:2] for line in before] == [line[:2] for line in after]
    assert len(after) == 6
    edges = [sum(int(line[2]) for line in lines[1:]) for lines in (before, after)]
    assert edges[1] < 0.9 * edges[0]
