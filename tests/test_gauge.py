"""Whether it rains: on the drawn street and on noise, lamps, snow, insects and leaves."""

import dataclasses

import cv2
import numpy as np
import pytest

from streamderain.inference import gauge
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import judged
from streamderain.inference.gauge import FEATURES, RainGauge, cut_patches, features, shift_between
from streamderain.readers.scene import SceneReader
from tests.live_frames import live_frame
from tools.nuisances import NUISANCES


def street(rain, seconds=1.2, size=(360, 640)):
    with SceneReader(rain=rain, seconds=seconds, height=size[0], width=size[1]) as reader:
        return [frame.pixels for frame in reader]


@pytest.fixture(scope="module")
def dry():
    return street(None)


def scores(frames):
    meter = RainGauge()
    return [meter.step(frame) for frame in frames]


@pytest.mark.parametrize("rain", ["light", "moderate", "heavy", "night"])
def test_rain_is_known_from_the_third_frame_on(rain):
    found = scores(street(rain))
    assert found[:2] == [1.0, 1.0]
    assert min(found) > GateConfig().wet


@pytest.fixture(scope="module")
def street_by_weather():
    """The street for long enough to look at it less often."""
    return {rain: street(rain, seconds=2.4) for rain in (None, "light", "heavy")}


@pytest.mark.parametrize("rain", [None, "heavy"])
def test_while_nothing_changes_every_third_frame_is_measured(street_by_weather, monkeypatch, rain):
    measured = []
    measure = gauge.measure_patches
    monkeypatch.setattr(
        gauge, "measure_patches", lambda *given: measured.append(1) or measure(*given)
    )
    found = scores(street_by_weather[rain])[2:]
    rested = len(found) - gauge.SETTLED
    assert len(measured) == pytest.approx(gauge.SETTLED + rested / gauge.RESTING, abs=3)


@pytest.mark.parametrize(("before", "after"), [(None, "light"), (None, "heavy"), ("light", None)])
@pytest.mark.parametrize("change", [58, 59, 60])
def test_a_change_is_known_two_frames_later_at_most(
    street_by_weather, monkeypatch, before, after, change
):
    frames = [*street_by_weather[before][:change], *street(after)]

    def known():
        found = enumerate(scores(frames)[2:])
        if after:
            return next(at for at, score in found if score >= GateConfig().wet)
        return next(at for at, score in found if score < GateConfig().dry)

    resting = known()
    monkeypatch.setattr(gauge, "SETTLED", 1000)
    assert resting - known() < gauge.RESTING


def test_a_camera_that_turns_is_followed_over_frames_that_were_not_measured(dry):
    wide = cv2.resize(dry[0], None, fx=1.5, fy=1.0)
    rng = np.random.default_rng(0)
    turning = [
        np.clip(wide[:, 2 * at : 2 * at + 640] + rng.normal(0, 1, dry[0].shape), 0, 255)
        for at in range(60)
    ]
    measured = []
    meter = RainGauge()
    measure = gauge.measure_patches

    def noting(*given):
        measured.append(given[3:])
        return measure(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gauge, "measure_patches", noting)
        for at, frame in enumerate(turning):
            meter.step(frame.astype(np.uint8))
            if at == 40:  # faster from here on, and measured less often
                turning[41:] = [
                    np.clip(wide[:, 80 + 5 * (n - 40) :][:, :640] + 0.0, 0, 255)
                    for n in range(41, 60)
                ]
    assert len(measured) < 50, "it rests"
    assert set(measured[5:20]) == {((0, -2), (0, -2))}
    assert measured[-1] == ((0, -5), (0, -5))


def test_what_rests_is_what_it_is_asked_for(dry, monkeypatch):
    def never(*_):
        raise AssertionError("those who train it have no network yet")

    monkeypatch.setattr(gauge, "score_of", never)
    meter = RainGauge(rests=False)
    assert [meter.measure(frame) is None for frame in dry[:4]] == [True, True, False, False]


@pytest.mark.parametrize("size", [(180, 320), (270, 480), (720, 1280)])
def test_a_dry_street_is_known_as_one_at_any_size(size):
    assert max(scores(street(None, 0.4, size))[2:]) < GateConfig().dry


@pytest.mark.parametrize(
    ("size", "rain"),
    [
        ((180, 320), "light"), ((180, 320), "heavy"), ((270, 480), "light"),
        ((720, 1280), "light"), ((1080, 1920), "light"),
    ],
)  # fmt: skip
def test_rain_is_known_in_pictures_of_any_size(size, rain):
    frames = list(judged(frames_of(street(rain, 0.4, size))))
    assert all(frame.bypass is None for frame in frames)


@pytest.mark.parametrize("times", [2, 3, 4, 6, 8, 12])
def test_a_larger_picture_is_measured_as_the_same_one_that_is_smaller(dry, times):
    usual = cv2.resize(dry[0], (620, 380))  # whose patches lie at whole pixels
    larger = usual.repeat(times, axis=0).repeat(times, axis=1)
    assert np.array_equal(cut_patches(larger), cut_patches(usual))


@pytest.mark.parametrize("kind", ["noisy", "dimmed", "insects", "leaves", "snow", "compressed"])
def test_what_is_not_rain_does_not_pass_for_it(dry, kind):
    wrong = [
        score
        for seed in range(4)
        for score in scores(NUISANCES[kind](dry[:20], np.random.default_rng(seed)))[3:]
    ]
    assert np.mean(np.array(wrong) >= GateConfig().wet) < 0.05


def test_a_lamp_that_swings_slowly_is_no_rain(dry):
    swing = 1 + 0.15 * np.sin(np.arange(20) / 3)
    lit = [np.clip(f * s, 0, 255).astype(np.uint8) for f, s in zip(dry, swing, strict=False)]
    assert max(scores(lit)[2:]) < GateConfig().wet


def test_a_camera_that_moves_is_followed(dry):
    wide = cv2.resize(dry[0], (1280, 720), interpolation=cv2.INTER_CUBIC)
    frames = [wide[100:580, 3 * i : 3 * i + 640] for i in range(14)]
    assert shift_between(*map(cut_patches, frames[:2])) == (0, -3)
    assert max(scores(frames)[2:]) < GateConfig().wet


@pytest.mark.parametrize(
    "size",
    [(side, other) for side in (1, 2, 3, 4, 5) for other in (1, 2, 3, 5, 90, 300)]
    + [(300, 3), (300, 5), (64, 64), (81, 79), (2160, 3840)],
)
def test_any_size_is_measured(size):
    gauge = RainGauge()
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (*[min(side, 90) for side in size], 3), dtype=np.uint8)
    frame = cv2.resize(small, size[::-1])
    for _ in range(4):
        sums = gauge.measure(frame)
    assert len(features(sums)) == len(FEATURES)
    assert np.isfinite(features(sums)).all()
    assert 0 <= gauge.step(frame) <= 1


def test_another_size_begins_anew(dry):
    gauge = RainGauge()
    for frame in dry[:5]:
        gauge.step(frame)
    assert gauge.measure(dry[0][:100, :100]) is None
    assert gauge.step(dry[0][:100, :100]) == 1.0


def frames_of(pictures):
    for index, pixels in enumerate(pictures):
        frame = live_frame(index, "gate", size=pixels.shape[:2])
        frame.pixels = pixels
        yield frame


def test_dry_frames_are_marked_and_none_is_lost_or_moved(dry):
    frames = list(judged(frames_of(dry)))
    assert [frame.index for frame in frames] == list(range(len(dry)))
    assert {frame.bypass for frame in frames} == {"dry"}
    assert all(frame.rain < 0.4 for frame in frames)
    assert all(np.array_equal(f.pixels, p) for f, p in zip(frames, dry, strict=True))


def test_rain_that_begins_is_derained_within_a_second(dry):
    wet = street("moderate")
    frames = list(judged(frames_of([*dry, *wet])))
    begun = next(frame.index for frame in frames if frame.bypass is None)
    assert len(dry) <= begun < len(dry) + 12
    assert all(frame.bypass is None for frame in frames[begun:])


def test_the_first_frames_share_the_first_judgement():
    frames = list(judged(frames_of(street("heavy")[:6])))
    assert [frame.bypass for frame in frames] == [None] * 6
    assert frames[0].rain == frames[1].rain > 0.8


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_frames_to_judge_are_derained(dry, count):
    frames = list(judged(frames_of(dry[:count])))
    assert len(frames) == count
    assert all(frame.bypass is None and frame.rain is None for frame in frames)


def test_damaged_frames_are_given_in_their_place_and_not_measured(dry):
    def damaged():
        for frame in frames_of(dry):
            if frame.index in (5, 6):
                frame.corrupt = True
                frame.pixels = np.random.default_rng(0).integers(
                    0, 256, frame.pixels.shape, dtype=np.uint8
                )
            yield frame

    frames = list(judged(damaged()))
    assert [frame.index for frame in frames] == list(range(len(dry)))
    assert max(frame.rain for frame in frames) < 0.8


def test_a_long_gap_of_damaged_frames_does_not_fill_the_memory(dry):
    given = 0

    def damaged():
        nonlocal given
        for frame in frames_of([dry[0]] * 300):
            given += 1
            frame.corrupt = frame.index >= 5
            yield frame

    for done, frame in enumerate(judged(damaged())):
        assert frame.index == done
        assert given - done < 8


def test_a_source_that_begins_damaged_is_given_on(dry):
    frames = frames_of([*dry[:12], *dry[:12]])
    out = list(judged(dataclasses.replace(f, corrupt=f.index < 12) for f in frames))
    assert [frame.index for frame in out] == list(range(24))


def test_a_change_of_size_is_a_new_scene(dry):
    wet = street("heavy", size=(180, 320))[:5]
    frames = list(judged(frames_of([*dry[:6], *wet])))
    assert [frame.bypass for frame in frames] == ["dry"] * 6 + [None] * 5
