"""Networks judged on filmed movement: what moves apart, and how much of the past shows."""

import numpy as np
import pytest

from streamderain import metrics
from streamderain.inference.backend import NullBackend
from tests.clips import make_clip, picture
from tools.clips import Mover, draw_clip
from tools.evaluate_footage import FOOTAGE_SCORES, SETTLED, FootageScores, Past, judge, main, table

SIZE = (80, 120)


@pytest.fixture(scope="module")
def clean():
    thing = Mover(
        np.full((30, 30, 3), 230, np.uint8), np.ones((30, 30), np.float32), (20.0, 2.0), (0.0, 6.0)
    )
    return draw_clip(picture(*SIZE, 1) // 2, np.zeros((16, 2)), [thing], SIZE).frames


class Shows(NullBackend):
    """A network that gives what it is told to, whatever it sees."""

    def __init__(self, frames):
        super().__init__()
        self.frames = iter(frames[SETTLED:])

    def run(self, frames):
        return np.asarray(next(self.frames), np.uint8)[None]


def pasts(clean):
    """What a median of the past would show in the place of each frame."""
    return [
        np.median(clean[max(0, index - 9) : index] or clean[:1], axis=0).astype(np.uint8)
        for index in range(len(clean))
    ]


def test_the_truth_has_no_ghost(clean):
    everywhere, moving, still, ghost = judge(Shows(clean), clean, clean)
    assert min(everywhere, moving, still) > 100
    assert ghost == 0


def test_the_past_in_the_place_of_the_frame_is_a_ghost(clean):
    everywhere, moving, still, ghost = judge(Shows(pasts(clean)), clean, clean)
    assert ghost == pytest.approx(1, abs=0.02)
    assert moving < 20
    assert still > 40
    assert moving < everywhere < still
    half = [
        ((a.astype(int) + b) // 2).astype(np.uint8)
        for a, b in zip(clean, pasts(clean), strict=True)
    ]
    assert judge(Shows(half), clean, clean)[3] == pytest.approx(0.5, abs=0.02)


def test_what_moves_is_known_from_the_frames_without_rain(clean):
    past = Past()
    for frame in clean[:10]:
        before, moving = past.step(metrics.luma(frame))
    assert moving[22:48, 58:84].all()  # where it is after nine steps of 6 pixels
    assert not moving[:14].any()
    assert before.shape == SIZE


def test_where_nothing_moves_there_is_no_figure(clean):
    _, moving, still, ghost = judge(Shows([clean[0]] * 14), [clean[0]] * 14, [clean[0]] * 14)
    assert np.isnan(moving)
    assert np.isnan(ghost)
    assert still > 100


def test_a_missing_recording_is_a_sentence(tmp_path, capsys):
    assert main(["null", "--video", str(tmp_path / "none.mp4")]) == 1
    assert "none.mp4" in capsys.readouterr().err


def test_a_recording_that_is_too_short_is_a_sentence(tmp_path, capsys):
    clip = make_clip(tmp_path / "short.mp4", frames=12)
    assert main(["null", "--video", str(clip), "--skip", "8"]) == 1
    assert "has 4 frames from number 8 on; 11 are needed" in capsys.readouterr().err


def test_of_frames_that_are_looked_at_less_often_as_many_more_are_needed(tmp_path, capsys):
    clip = make_clip(tmp_path / "short.mp4", frames=24)
    asked = ["null", "--video", str(clip), "--rain", "light", "--every"]
    assert main([*asked, "0"]) == 2
    assert "--every is 1 or more" in capsys.readouterr().err
    assert main([*asked, "3"]) == 1
    assert "31 are needed" in capsys.readouterr().err
    assert main([*asked, "2"]) == 0
    assert "| short | null |" in capsys.readouterr().out


def test_the_scores_are_a_table_and_json():
    found = [FootageScores("null", "bikes", 20.0, 10.0, 30.0, 0.25)]
    assert "| bikes | null | 20.00 dB | 10.00 dB | 30.00 dB | 25.0 % |" in table(found)
    assert FOOTAGE_SCORES.validate_json(FOOTAGE_SCORES.dump_json(found)) == found
