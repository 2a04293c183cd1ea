"""The rain gate judged on clips, and what the past is worth, drawn."""

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from streamderain.inference.backend import NullBackend
from tests.clips import picture
from tests.training_data import write_rain100
from tools import evaluate_gauge, temporal_failures, temporal_figures
from tools.evaluate_video import judge, rainy_clips


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder of small pictures, with a little rain where it belongs."""
    root = tmp_path_factory.mktemp("data")
    write_rain100(root, 180, 320)
    (root / "clean" / "photos").mkdir(parents=True)
    assert cv2.imwrite(str(root / "clean" / "photos" / "a.png"), picture(150, 210, 400))
    return root


def test_the_gate_is_told_by_what_clips_show(data, capsys):
    kinds = ["dimmed", "rain"]
    asked = [word for kind in kinds for word in ("--kind", kind)]
    assert evaluate_gauge.main(["--data", str(data), "--clips", "2", *asked]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| dimmed", "| rain"]
    assert rows[0][1:] == ["100.0%", "2 of 2 |"]
    assert float(rows[1][1].rstrip("%")) < 10
    assert rows[1][2] == "0 of 2 |"


def test_the_same_seed_gives_the_same_clip(data):
    stills = [picture(150, 210, index) for index in range(2)]
    make = [evaluate_gauge.clip_of("snow", stills, 1, None, seed) for seed in (3, 3, 4)]
    assert all(np.array_equal(a, b) for a, b in zip(make[0], make[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(make[0], make[2], strict=True))


def test_missing_data_is_a_sentence(tmp_path, capsys):
    assert evaluate_gauge.main(["--data", str(tmp_path / "none")]) == 1
    assert "error:" in capsys.readouterr().err


def test_a_camera_pans_at_the_speed_it_should():
    stills = [picture(300, 420, index) for index in range(2)]
    still, slow, fast = (
        next(iter(temporal_figures.panning_clips(stills, speed, 1))) for speed in (0.0, 1.0, 8.0)
    )
    assert (still.motion, slow.motion) == ("fixed", "pan")
    change = [
        float(np.mean([np.abs(b.astype(int) - a).mean()
                       for a, b in zip(clip.truth.frames, clip.truth.frames[1:], strict=False)]))
        for clip in (still, slow, fast)
    ]  # fmt: skip
    assert change[0] < change[1] < change[2]
    assert judge(NullBackend(), slow).all < 45


def test_both_charts_are_drawn(tmp_path, data, capsys):
    target = tmp_path / "temporal.png"
    arguments = ["null", "null", "--data", str(data), "--scenes", "2", "-o", str(target)]
    assert temporal_figures.main(arguments) == 0
    assert cv2.imread(str(target)).shape[1] > 1000
    said = capsys.readouterr().out
    assert "| frames remembered | 2 | 3 | 4 | 5 | 7 | 9 | null |" in said
    assert "| pixels a frame | 0 | 0.25 |" in said


def test_what_is_no_picture_is_refused_before_any_work(tmp_path, data, capsys):
    arguments = ["null", "null", "--data", str(data), "-o", str(tmp_path / "a.txt")]
    assert temporal_figures.main(arguments) == 2
    assert "a.txt should end in one of" in capsys.readouterr().err


class Named(NullBackend):
    """A network that changes nothing, by a name of its own."""

    def __init__(self, name):
        super().__init__()
        self.name = name


def test_the_worst_frames_are_drawn(tmp_path, data, capsys, monkeypatch):
    target = tmp_path / "failures.png"
    arguments = ["a", "b", "--data", str(data), "--scenes", "2", "--count", "2"]
    monkeypatch.setattr(temporal_failures, "open_model", lambda name, *more: Named(name))
    assert temporal_failures.main([*arguments, "-o", str(target)]) == 0
    assert cv2.imread(str(target)).shape[1] > 1000
    assert "clips; even their worst frames are ahead in" in capsys.readouterr().out


def test_what_moves_on_the_street_is_known():
    (clip,) = temporal_failures.street_clips(1, seed=1)
    assert len(clip.rainy) == len(clip.truth.frames) == len(clip.truth.moving)
    share = np.mean([moving.mean() for moving in clip.truth.moving])
    assert 0.001 < share < 0.2
    assert np.abs(clip.rainy[3].astype(int) - clip.truth.frames[3]).mean() > 3


def test_the_worst_frame_is_where_the_past_does_harm():
    stills = [picture(180, 320, index) // 2 + 40 for index in range(2)]
    clip = next(iter(rainy_clips(stills, ["fixed"], 3)))

    class Spoiling(NullBackend):
        """Spoils one of the frames."""

        seen = 0

        def run(self, frames):
            self.seen += 1
            return frames // (2 if self.seen == 4 else 1)

    failure = temporal_failures.worst_of(clip, Spoiling(), NullBackend())
    assert failure.motion == "fixed"
    assert failure.behind > 5
    spoilt, truth = failure.shown["null"], failure.shown["truth"]
    assert spoilt.shape == truth.shape
