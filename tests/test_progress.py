"""What people are told while the work goes on, and when it is done."""

import io

import pytest
from rich.console import Console

from streamderain.progress import BarProgress, LineProgress, counted, pace, summary, time_left
from streamderain.report import JobReport


def done(**more):
    return JobReport(
        input="gate.mp4", output="gate.clean.mp4", ok=True, frames_in=100, frames_out=100,
        derained=98, frames_per_second=24.96, **more,
    )  # fmt: skip


def test_a_job_that_went_well_is_one_line():
    assert summary(done()) == ["gate.clean.mp4: 100 frames, 98 derained, 25.0 frames/s"]


def test_one_frame_is_not_called_frames():
    report = done().model_copy(update={"frames_out": 1, "derained": 1})
    assert summary(report)[0].startswith("gate.clean.mp4: 1 frame, 1 derained")


def test_notes_come_first_and_damage_is_counted():
    lines = summary(done(notes=["10 bit becomes 8"], corrupt=2))
    assert lines[0] == "note: 10 bit becomes 8"
    assert lines[1].startswith("note: 2 frames were damaged")
    assert summary(done(corrupt=1))[0].startswith("note: 1 frame was damaged")


def test_a_job_without_a_target_names_none():
    lines = summary(JobReport(input="a", output="b.mp4", error="a does not exist"))
    assert lines == ["error: a does not exist"]


def test_a_damaged_source_has_both_its_problem_and_its_target():
    problem, target = summary(done(problems=["gate.mp4 is cut short"]))
    assert problem == "error: gate.mp4 is cut short"
    assert target.startswith("gate.clean.mp4: 100 frames")


def judged(derained, dry, **more):
    frames = derained + dry
    counts = {"derained": derained, "bypassed": {"dry": dry} if dry else {}}
    return done(**more).model_copy(update={"frames_in": frames, "frames_out": frames, **counts})


def test_a_video_without_any_rain_is_said_to_be_dry_and_how_it_is_derained_all_the_same():
    note, target = summary(judged(0, 250))
    assert note == (
        "note: no rain was found in gate.mp4; the frames are as they came, --always derains them "
        "all the same"
    )
    assert target == "gate.clean.mp4: 250 frames, 0 derained, 250 dry, 25.0 frames/s"


def test_a_video_with_hardly_any_rain_is_said_to_be_dry_as_well():
    note, _ = summary(judged(25, 225))
    assert note.startswith("note: rain was found on only 25 frames of gate.mp4; the 225 dry ones")
    assert "--always" in note
    assert "only 1 frame of gate.mp4" in summary(judged(1, 99))[0]


@pytest.mark.parametrize(("derained", "dry"), [(26, 224), (1, 0), (250, 0), (0, 0)])
def test_a_video_with_rain_is_told_of_no_other_way(derained, dry):
    assert not any("--always" in line for line in summary(judged(derained, dry)))


def test_damaged_frames_are_not_taken_for_rainy_ones():
    report = judged(0, 10).model_copy(update={"bypassed": {"dry": 10, "corrupt": 90}})
    assert summary(report)[0].startswith("note: no rain was found")


def test_a_sample_is_called_one():
    note, target = summary(judged(0, 125, sample_s=5.0))
    assert note.startswith("note: no rain was found in the first 5 s of gate.mp4;")
    assert "gate.clean.mp4: 125 frames of a sample of 5 s, 0 derained, 125 dry, " in target


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_lines_come_every_few_seconds_with_rate_and_time_left():
    lines, clock = [], Clock()
    progress = LineProgress(lines.append, clock)
    progress.start("gate.mp4", 1000)
    for frames in range(1, 121):
        clock.now = frames * 0.1
        progress.update(frames)
    assert lines == [
        "gate.mp4: 50 of 1000 frames, 10.0 frames/s, 95 s left",
        "gate.mp4: 100 of 1000 frames, 10.0 frames/s, 90 s left",
    ]


def test_a_source_of_unknown_length_has_no_time_left():
    lines, clock = [], Clock()
    progress = LineProgress(lines.append, clock)
    progress.start("-", None)
    clock.now = 6.0
    progress.update(30)
    assert lines == ["-: 30 frames, 5.0 frames/s"]


def test_a_bar_is_drawn_and_taken_away():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    progress = BarProgress(console)
    progress.start("/videos/gate.mp4", 100)
    progress.update(40)
    progress.end(done())
    progress.close()
    progress.update(50)  # of a thread that is late: harmless
    shown = screen.getvalue()
    assert "gate.mp4" in shown
    assert "gate.clean.mp4: 100 frames" in shown
    assert shown.endswith("\n")


def test_words_of_a_file_name_are_not_taken_for_markup():
    screen = io.StringIO()
    progress = BarProgress(Console(file=screen, force_terminal=True, width=80))
    report = done().model_copy(update={"output": "cam[red]1.mp4"})
    progress.start("cam[red]1.mp4", None)
    progress.end(report)
    assert screen.getvalue().count("cam[red]1.mp4") >= 2  # beside the bar, and at the end


def test_slow_work_is_told_by_the_frame():
    assert pace(25.04) == "25.0 frames/s"
    assert pace(0.0154) == "64.9 s a frame"
    assert pace(0) == "0.0 frames/s"
    assert counted(1) == "1 frame"
    assert counted(0) == "0 frames"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3.4, "3 s left"),
        (119, "119 s left"),
        (150, "2 min left"),
        (2686, "45 min left"),
        (7500, "2 h 5 min left"),
        (400_000, "111 h 7 min left"),
    ],
)
def test_time_left_is_said_as_people_say_it(seconds, said):
    assert time_left(seconds) == said


def test_a_job_that_was_continued_says_what_had_been_done():
    assert summary(done(segments=10, resumed=3))[-1].endswith(
        "25.0 frames/s; 3 of 10 segments were done before"
    )
