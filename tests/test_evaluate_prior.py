"""What the past alone knows, by which of its sorted values."""

import numpy as np
import pytest

from tests.clips import make_clip, picture
from tools.evaluate_prior import PAIRS, judge_ranks, main


def rained_on(share, count=14):
    rng = np.random.default_rng(3)
    clean = [picture(60, 80, 1) // 2] * count
    rainy = []
    for frame in clean:
        hidden = rng.random((60, 80, 1)) < share
        noisy = frame + rng.normal(0, 2, frame.shape)
        rainy.append(np.clip(np.where(hidden, 220, noisy), 0, 255).astype(np.uint8))
    return clean, rainy


def test_in_drizzle_the_middle_knows_best_and_in_heavy_rain_what_lies_below():
    drizzle, sparse = judge_ranks(*rained_on(0.01))
    pouring, dense = judge_ranks(*rained_on(0.15))
    assert max(drizzle, key=drizzle.get) in PAIRS[:2]
    assert max(pouring, key=pouring.get) in PAIRS[3:6]
    assert sparse < 0.02
    assert dense > 0.05


def test_too_few_frames_have_no_past():
    clean, rainy = rained_on(0.1, count=9)
    with pytest.raises(ValueError, match="9 frames and one after"):
        judge_ranks(clean, rainy)


def test_a_table_says_what_is_taken(tmp_path, capsys):
    clip = make_clip(tmp_path / "a.mp4", frames=14)
    assert main(["--video", str(clip)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| rain | density | 5 | 5 and 4 |")
    assert {line.split(" | ")[0] for line in lines[2:]} >= {"| light", "| heavy"}


def test_a_missing_or_short_recording_is_a_sentence(tmp_path, capsys):
    assert main(["--video", str(tmp_path / "none.mp4")]) == 1
    short = make_clip(tmp_path / "b.mp4", frames=5)
    assert main(["--video", str(short)]) == 1
    assert "has 5 frames there; 10 are needed" in capsys.readouterr().err
