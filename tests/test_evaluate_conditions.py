"""Networks judged at night, by infrared light and in fog; the street drawn there."""

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from streamderain.inference.backend import NullBackend
from streamderain.rain.conditions import Lamp, Night
from tests.clips import make_clip, picture
from tools import condition_gallery
from tools.condition_clips import ConditionClip
from tools.evaluate_conditions import (
    CONDITION_SCORES,
    SETTLED,
    clips_in,
    judge,
    main,
    standing_clips,
    table,
)

FRAMES = SETTLED + 2


@pytest.fixture(scope="module")
def clips():
    stills = [picture(120, 160, index) // 2 + 40 for index in range(2)]
    return list(standing_clips(stills, FRAMES, seed=1))


class Dimming(NullBackend):
    """A network that makes everything darker."""

    def run(self, frames):
        return frames // 2


class Tinting(NullBackend):
    """A network that takes a level off the red."""

    def run(self, frames):
        return np.where(np.arange(3) == 0, np.maximum(frames, 1) - 1, frames).astype(np.uint8)


def test_what_changes_nothing_leaves_dry_clips_and_lamps_alone(clips):
    night = judge(NullBackend(), "night", list(clips_in("night", clips, 3)))
    assert night.alone == 99
    assert night.psnr < 45
    assert night.cores == night.cores_after > 200
    assert 5 < night.glow == night.glow_after < night.cores
    assert np.isnan(night.cast)


def test_lamps_that_are_dimmed_are_told(clips):
    night = judge(Dimming(), "night", list(clips_in("night", clips, 3)))
    assert night.cores_after == pytest.approx(night.cores / 2, abs=1)
    assert night.glow_after == pytest.approx(night.glow / 2, abs=1)
    assert night.alone < 40


def test_only_grey_clips_have_a_cast(clips):
    infrared = judge(NullBackend(), "infrared", list(clips_in("infrared", clips, 3)))
    assert infrared.cast == 0
    assert np.isnan(infrared.cores)
    # What the network tints is made grey again where frames are derained.
    assert judge(Tinting(), "infrared", list(clips_in("infrared", clips, 3))).cast == 0
    assert np.isnan(judge(Tinting(), "fog", list(clips_in("fog", clips, 3))).cast)


def test_moving_lamps_are_looked_for_where_they_are():
    lamp = Lamp((20.0, 10.0), radius=3.0, velocity=(0.0, 2.0))
    night, street = Night(lamps=(lamp,)), np.zeros((40, 60, 3), np.uint8)
    truth = [night.see(street, np.zeros((40, 60), np.float32), i).dry for i in range(FRAMES)]
    clip = ConditionClip(night, truth, truth, truth, truth)
    found = judge(NullBackend(), "night", [clip])
    assert found.cores == 255


def test_the_scores_are_a_table_and_json(tmp_path, capsys):
    clip, found = make_clip(tmp_path / "dry.mp4", frames=FRAMES, height=64), tmp_path / "found.json"
    asked = ["--condition", "infrared", "--condition", "night", "--json", str(found)]
    assert main(["null", "--video", str(clip), "--frames", str(FRAMES), *asked]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].startswith("| infrared | null | ")
    assert rows[3].startswith("| night | null | ")
    scores = CONDITION_SCORES.validate_json(found.read_bytes())
    assert table(scores).splitlines() == rows
    assert [score.condition for score in scores] == ["infrared", "night"]


def test_the_gauge_is_judged_on_the_same_clips(tmp_path, capsys):
    clip = make_clip(tmp_path / "dry.mp4", frames=16, height=120, width=160)
    asked = ["--gauge", "--condition", "night", "--frames", "16"]
    assert main(["--video", str(clip), *asked]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("| night | 0.8, 0.4 | ")
    assert row.count("%") == 3
    assert main(["--video", str(clip), *asked, "--gate", "1", "1", "--gate", "0", "0"]) == 0
    strict, lax = (line.split(" | ") for line in capsys.readouterr().out.splitlines()[-2:])
    assert (strict[1], lax[1]) == ("1, 1", "0, 0")
    assert lax[2:] == ["0.0%", "0.0%", "0.0% |"]  # everything is rain
    assert strict[2] != "0.0%"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["null"], "either --data DIR or --video FILE"),
        (["--video", "a.mp4"], "either models or --gauge"),
        (["null", "--video", "a.mp4", "--gate", "1", "1"], "--gate goes with --gauge"),
        (["--video", "a.mp4", "--gauge", "--gate", "0", "1"], "0 <= dry <= wet <= 1"),
        (["null", "--video", "a.mp4", "--frames", "5"], "--frames must be above 10"),
        (["null", "--video", "none.mp4"], "none.mp4"),
    ],
)
def test_what_can_not_be_done_is_a_sentence(arguments, said, capsys):
    assert main(arguments) in (1, 2)
    assert said in capsys.readouterr().err


def test_a_recording_that_is_too_short_is_a_sentence(tmp_path, capsys):
    clip = make_clip(tmp_path / "short.mp4", frames=12)
    assert main(["null", "--video", str(clip), "--skip", "8"]) == 1
    assert "has 4 frames from number 8 on; 16 are needed" in capsys.readouterr().err


def test_the_street_is_drawn_in_every_condition(tmp_path, capsys):
    target = tmp_path / "conditions.jpg"
    assert condition_gallery.main(["--model", "null", "-o", str(target)]) == 0
    assert cv2.imread(str(target)).shape[1] > 1000
    assert condition_gallery.main(["--model", "null", "-o", str(tmp_path / "a.txt")]) == 2
    assert "a.txt should end in one of" in capsys.readouterr().err
