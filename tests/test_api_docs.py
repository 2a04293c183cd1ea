"""Every block of Python in docs/api.md runs."""

import re
import threading
from pathlib import Path

import pytest

from streamderain.errors import StreamderainError
from streamderain.readers.scene import SceneReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import picture

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.S | re.M)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "gate.mp4"
    with SceneReader(height=48, width=64, seconds=0.4, rain="heavy") as reader:
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    return path


def test_there_are_as_many_as_there_are_ways():
    assert len(BLOCKS) == 5


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs(number, clip, capsys):
    seen = []
    code = re.sub(r"rtsp://[\d.]+/live|gate\.mp4", lambda _: clip.as_posix(), BLOCKS[number])
    names = {
        "detect": lambda pixels: seen.append(pixels.shape),
        "frames": [picture(48, 64, at) for at in range(4)],
        "picture": picture(48, 64),
        "another": picture(48, 64, 1),
        "batch": picture(48, 64)[None],
        "gate_frame": picture(48, 64),
        "yard_frame": picture(48, 64, 1),
    }
    try:
        exec(compile(code, f"{PAGE.name}, block {number}", "exec"), names)
    except StreamderainError as error:
        pytest.fail(str(error))
    for thread in threading.enumerate():
        if thread.name.endswith("(watch)"):
            thread.join(60)
    if "detect(" in code:
        assert len(seen) == 10 * (1 + ("Thread(" in code))
        assert set(seen) == {(48, 64, 3)}
    if "clean =" in code:
        shown = names["clean"]
        assert [one.shape for one in shown] == 2 * [(48, 64, 3)] or shown.ndim == 3
