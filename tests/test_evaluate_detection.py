"""What comes after the network, judged: motion that is rain, and a detector's findings."""

from dataclasses import replace

import numpy as np
import pytest

from streamderain.errors import ModelError
from streamderain.inference.backend import NullBackend
from streamderain.readers.scene import SceneReader
from streamderain.writers.video import VideoFileWriter
from tests.clips import make_clip
from tests.yolo_graph import yolo
from tools.detection import Agreement, Boxes, agreement, overlaps
from tools.detectors import NanoDet, YoloDetector, decoded, open_detector
from tools.evaluate_detection import (
    DETECTION_SCORES,
    LEARNING,
    THRESHOLDS,
    DetectionScores,
    Motion,
    Recording,
    judge,
    judge_motion,
    main,
    motion_of,
    scenes_of,
    table,
    truth_of,
)


def boxes(*rows):
    """Left, top, right, bottom, score, class of each."""
    array = np.array(rows, np.float32).reshape(-1, 6)
    return Boxes(array[:, :4], array[:, 4], array[:, 5].astype(np.int64))


@pytest.fixture(scope="module")
def film():
    """A street on which people and cars move, and noise as of rain in three places of four."""
    rng = np.random.default_rng(1)
    with SceneReader(height=90, width=160, seconds=(LEARNING + 12) / 25, rain=None) as reader:
        dry = [frame.pixels for frame in reader]
    rainy = []
    for frame in dry:
        drops = np.kron(rng.random((15, 20)) < 0.08, np.ones((6, 8)))[..., None]
        rainy.append(np.clip(frame + 90 * drops, 0, 255).astype(np.uint8))
    return dry, rainy


class Shows(NullBackend):
    """A network that gives what it is told to, whatever it sees."""

    name = "shows"

    def __init__(self, frames):
        super().__init__()
        self.frames = iter(frames)

    def run(self, frames):
        return np.asarray(next(self.frames), np.uint8)[None]


def judged(dry, rainy, shown, detector=None):
    def open_backend(model):
        return NullBackend() if model == "null" else Shows(shown)

    return list(
        judge(["shows"], open_backend, Recording(dry, dry, rainy, [0] * len(dry), 25.0), detector)
    )


def test_the_dry_recording_itself_has_no_false_motion_and_all_the_true(film):
    dry, rainy = film
    (_, before, _), (none, bare, _), (name, after, _) = judged(dry, rainy, dry)
    assert (none, name) == ("dry", "shows")
    assert (after.false, after.true) == (0, 1)
    assert bare == after
    assert before.false > 100
    assert after.false_at_equal == 0


def test_half_of_the_rain_is_less_false_motion_than_all_of_it(film):
    dry, rainy = film
    half = [((a.astype(int) + b) // 2).astype(np.uint8) for a, b in zip(dry, rainy, strict=True)]
    (_, before, _), _, (_, after, _) = judged(dry, rainy, half)
    assert 0 < after.false_at_equal < before.false_at_equal
    assert before.false_at_equal == pytest.approx(before.false)


def test_a_network_that_removes_what_moves_is_not_praised_for_it(film):
    dry, rainy = film
    (_, before, _), _, (_, after, _) = judged(dry, rainy, [dry[0]] * len(dry))
    assert after.true < 0.1 < before.true
    assert np.isnan(after.false_at_equal)


def test_a_higher_threshold_finds_less(film):
    masks = motion_of(film[1], [0] * len(film[1]))
    assert masks.shape == (len(THRESHOLDS), 12, 90, 160)
    found = masks.sum(axis=(1, 2, 3))
    assert (np.diff(found) <= 0).all()
    assert found[0] > found[-1]


def test_where_nothing_moves_there_is_no_share(film):
    dry = [film[0][0]] * len(film[0])
    scenes = [0] * len(dry)
    found = judge_motion(motion_of(dry, scenes), truth_of(dry, scenes), float("nan"))
    assert np.isnan(found.true)
    assert found.false == 0


def test_a_camera_that_adjusts_its_exposure_is_no_motion_that_could_be_missed_or_false(film):
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 3, (len(film[0]), *film[0][0].shape))
    still = np.clip(film[0][0] * 0.8 + 20 + noise, 0, 255)
    still[LEARNING + 4 :] += 6  # between four and eight standard deviations of it
    still[LEARNING + 4 :, 30:60, 60:90] += 60  # what really moves
    frames = np.clip(still, 0, 255).astype(np.uint8)
    truth = truth_of(list(frames), [0] * len(frames))
    moves = truth.moves[4]
    assert moves[30:60, 60:90].mean() > 0.9
    assert moves.sum() < 1.3 * 30 * 30
    assert truth.still[3].mean() > 0.9
    assert truth.still[4].mean() < 0.3


def test_after_a_cut_another_background_is_learnt_and_nothing_is_judged(film):
    one, other = film[0][0], film[0][0][:, ::-1].copy()
    shown = [one] * (LEARNING + 2) + [other] * (LEARNING + 3)
    scenes = scenes_of(shown)
    assert scenes == [0] * (LEARNING + 2) + [1] * (LEARNING + 3)
    masks = motion_of(shown, scenes)
    assert masks.shape[1] == 2 + 3
    assert not masks.any()


def test_overlaps_are_those_of_areas():
    one = np.array([[0, 0, 10, 10]], np.float32)
    other = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    assert overlaps(one, other)[0] == pytest.approx([1, 1 / 3, 0])


def test_the_same_findings_agree_wholly():
    frames = [boxes((0, 0, 20, 20, 0.9, 0), (50, 50, 110, 110, 0.7, 1)), boxes()]
    found = agreement(frames, frames, 25)
    assert found.ap == 1
    assert (found.recall["small"], found.recall["medium"]) == (1, 1)
    assert np.isnan(found.recall["large"])
    assert found.alarms_a_minute == 0
    assert found.things == 2


def test_what_is_missed_false_or_of_another_class_costs():
    dry = [boxes((0, 0, 20, 20, 0.9, 0), (50, 50, 80, 80, 0.9, 0))]
    found = [boxes((0, 0, 20, 20, 0.8, 0), (50, 50, 80, 80, 0.9, 1), (100, 0, 120, 20, 0.6, 0))]
    result = agreement(dry, found, 25)
    # Ranked: a false one at 0.9, a true one at 0.8: half of the things at a precision of a half.
    assert result.ap == pytest.approx(0.25)
    assert result.recall["small"] == 0.5
    assert result.alarms_a_minute == 2 * 60 * 25


def test_what_the_dry_scene_is_not_sure_of_may_be_found_or_not():
    dry = [boxes((0, 0, 20, 20, 0.9, 0), (50, 50, 80, 80, 0.3, 0))]
    for found in ([dry[0]], [boxes((0, 0, 20, 20, 0.9, 0))]):
        result = agreement(dry, found, 25)
        assert (result.ap, result.alarms_a_minute, result.things) == (1, 0, 1)


def test_a_detector_that_is_sure_at_another_score_is_taken_at_its_word():
    dry = [boxes((0, 0, 20, 20, 0.4, 0))]
    found = [boxes((0, 0, 20, 20, 0.4, 0), (50, 50, 80, 80, 0.4, 0))]
    assert agreement(dry, found, 25).things == 0
    result = agreement(dry, found, 25, sure_from=0.35)
    assert (result.things, result.recall["small"], result.alarms_a_minute) == (1, 1, 1500)


def test_a_thing_that_is_found_twice_is_found_once():
    dry = [boxes((0, 0, 20, 20, 0.9, 0))]
    found = [boxes((0, 0, 20, 20, 0.7, 0), (1, 0, 21, 20, 0.8, 0))]
    result = agreement(dry, found, 25)
    assert (result.ap, result.alarms_a_minute) == (1, 0)


@pytest.mark.parametrize("ending", ["anchors", "boxes"])
def test_a_detector_finds_things_where_they_are(tmp_path, ending):
    pixels = np.full((48, 96, 3), 90, np.uint8)
    pixels[12:24, 24:36] = 230, 20, 20
    pixels[24:36, 60:72] = 20, 20, 230
    found = YoloDetector(yolo(tmp_path / "yolo.onnx", ending)).find(pixels)
    assert sorted(zip(found.classes, found.corners.round().astype(int).tolist(), strict=True)) == [
        (0, [24, 12, 36, 24]),
        (1, [60, 24, 72, 36]),
    ]


def nanodet(path, channels=44):
    """Write a graph of a NanoDet's shape that finds one thing, wherever it looks: cell 1, 2 of 4×4.

    Its sides are a stride and a half away, for its bins 1 and 2 are as likely.
    """
    onnx = pytest.importorskip("onnx", reason="this test needs: pip install onnx")
    from onnx import TensorProto, helper, numpy_helper

    outputs, nodes, constants = [], [], []
    for stride, cells in ((8, 16), (16, 4)):
        scores = np.zeros((1, cells, 3), np.float32)
        sides = np.zeros((1, cells, channels), np.float32)
        if stride == 8:
            scores[0, 6, 2] = 0.7
            sides.reshape(cells, 4, -1)[6, :, 1:3] = 40
        for name, array in ((f"scores{stride}", scores), (f"sides{stride}", sides)):
            constants.append(numpy_helper.from_array(array, "fixed_" + name))
            nodes.append(helper.make_node("Add", ["fixed_" + name, "nothing"], [name]))
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])
    constants.append(numpy_helper.from_array(np.zeros(1, np.float32), "zero"))
    nodes.insert(0, helper.make_node("ReduceMax", ["images"], ["highest"], keepdims=0))
    nodes.insert(1, helper.make_node("Mul", ["highest", "zero"], ["nothing"]))
    graph = helper.make_graph(nodes, "nanodet", [images], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_nanodet_says_how_far_the_sides_are_from_the_middle_of_a_cell(tmp_path):
    detector = open_detector(nanodet(tmp_path / "nanodet.onnx"))
    assert isinstance(detector, NanoDet)
    # The picture is fitted into 32×32 at half its size; the cell's middle is at 20, 12 in there.
    found = detector.find(np.full((48, 64, 3), 90, np.uint8))
    assert found.corners.tolist() == [pytest.approx([16, 0, 64, 48], abs=0.01)]
    assert found.scores == pytest.approx([0.7])
    assert found.classes.tolist() == [2]


def test_a_yolo_is_told_from_a_nanodet_by_its_one_output(tmp_path):
    assert isinstance(open_detector(yolo(tmp_path / "yolo.onnx", "boxes")), YoloDetector)


def test_yolov5_multiplies_what_it_is_sure_of():
    rows = np.zeros((1, 20, 7), np.float32)
    rows[0, 3] = 50, 40, 20, 10, 0.8, 0.1, 0.5
    found = decoded(rows)
    assert found.corners.tolist() == [[40, 35, 60, 45]]
    assert found.scores == pytest.approx([0.4])
    assert found.classes.tolist() == [1]


def test_what_is_no_detector_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="not known"):
        decoded(np.zeros((1, 1000), np.float32))
    with pytest.raises(ModelError, match="can't be read"):
        YoloDetector(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="not those of a NanoDet"):
        open_detector(nanodet(tmp_path / "other.onnx", channels=24))


def test_the_command_prints_and_writes_all_of_it(tmp_path, capsys):
    path = tmp_path / "dry.mp4"
    with SceneReader(height=90, width=160, seconds=(LEARNING + 3) / 25, rain=None) as reader:
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    target = tmp_path / "scores.json"
    detector = yolo(tmp_path / "yolo.onnx", "anchors")
    command = ["null", "--video", str(path), "--detector", str(detector), "--json", str(target)]
    assert main([*command, "--rain", "light", "--rain", "heavy"]) == 0
    printed = capsys.readouterr().out
    found = DETECTION_SCORES.validate_json(target.read_bytes())
    assert [(item.rain, item.model) for item in found] == [
        ("light", "null"), ("light", "dry"), ("heavy", "null"), ("heavy", "dry"),
    ]  # fmt: skip
    assert table(found) == printed.strip()
    assert "| dry | heavy | null |" in printed
    assert "false alarms a minute" in printed


def test_a_recording_that_is_too_short_is_a_sentence(tmp_path, capsys):
    clip = make_clip(tmp_path / "short.mp4", frames=12)
    assert main(["null", "--video", str(clip)]) == 1
    assert f"{LEARNING + 1} are needed" in capsys.readouterr().err


def test_a_score_that_is_none_is_a_sentence(tmp_path, capsys):
    clip = make_clip(tmp_path / "short.mp4", frames=12)
    assert main(["null", "--video", str(clip), "--sure", "40"]) == 2
    assert "at most 1" in capsys.readouterr().err


def test_what_is_known_is_written_as_it_comes(tmp_path, capsys):
    path, target = tmp_path / "dry.mp4", tmp_path / "scores.json"
    with SceneReader(height=90, width=160, seconds=(LEARNING + 3) / 25, rain=None) as reader:
        writer = VideoFileWriter(path, reader.format, source=None, preset="ultrafast")
        for frame in reader:
            writer.write(frame)
        writer.finish()
    missing = str(tmp_path / "none.onnx")
    assert main(["null", missing, "--video", str(path), "--json", str(target)]) == 1
    assert "none.onnx" in capsys.readouterr().err
    found = DETECTION_SCORES.validate_json(target.read_bytes())
    assert [item.model for item in found] == ["null", "dry"]


def test_a_network_that_hurts_a_detector_is_told_so(tmp_path):
    seen = Agreement(0.9, dict.fromkeys(("small", "medium", "large"), 0.5), 3.0, 10)
    worse = replace(seen, ap=0.85)
    motion = Motion(10.0, 0.9, 8.0)
    text = table(
        [
            DetectionScores("null", "street", "light", motion, seen),
            DetectionScores("blur", "street", "light", motion, worse),
        ]
    )
    assert "| street | light | blur | 85.0 % | -5.0 |" in text
