"""What a batch on a cluster tells."""

import io

import pytest
from rich.console import Console

from streamderain.cluster.telling import Overview, Teller
from streamderain.report import JobReport

SOME = {"videos": 5, "done": 2, "frames": 300, "total": 1200, "workers": 4, "busy": 3}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "2 of 5 videos, 300 of 1200 frames, 30.0 frames/s, 30 s left, 3 of 4 workers busy"),
        ({"total": None}, "2 of 5 videos, 300 frames, 30.0 frames/s, 3 of 4 workers busy"),
        (
            {"done": 0, "frames": 0, "total": None, "workers": 0, "busy": 0},
            "0 of 5 videos, waiting for a worker",
        ),
        (
            {"videos": 1, "done": 0, "frames": 0, "workers": 1, "busy": 0},
            "0 of 1 video, 0 of 1200 frames, 0.0 frames/s, 0 of 1 worker busy",
        ),
    ],
)
def test_one_line_says_how_far_all_is(changed, said):
    assert str(Overview(**(SOME | {"seconds": 10.0} | changed))) == said


def test_logs_get_a_line_every_few_seconds_and_one_for_each_video():
    time = [0.0]
    written = io.StringIO()
    teller = Teller(Console(file=written, width=200), clock=lambda: time[0])
    for second in range(13):
        time[0] = float(second)
        teller.tell(Overview(**SOME, seconds=10.0))
    teller.end(JobReport(input="a.mp4", output="a.clean.mp4", frames_out=3, derained=3))
    teller.note("something")
    teller.close()
    lines = written.getvalue().splitlines()
    assert [line.startswith("2 of 5 videos") for line in lines] == [True, True, False, False]
    assert lines[2].startswith("a.clean.mp4: 3 frames")
    assert lines[3] == "note: something"
