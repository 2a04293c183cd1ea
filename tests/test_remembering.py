"""Recorded frames with their past, and with what comes after them."""

import numpy as np
import pytest

from streamderain.inference import prior
from streamderain.inference.past import TemporalPrior
from streamderain.inference.remembering import MAX_LOOKAHEAD, remembered
from streamderain.rain.streaks import RainConfig, RainField
from tests.clips import picture
from tests.live_frames import live_frame


def clip(count, still=None, corrupt=()):
    still = picture(90, 120) // 2 + 30 if still is None else still
    field = RainField(90, 120, RainConfig(density=20_000, brightness=0.8), seed=2)
    for index in range(count):
        frame = live_frame(index, "gate", size=(90, 120))
        frame.pixels = np.clip(still + 255 * field.layer()[..., None], 0, 255).astype(np.uint8)
        frame.corrupt = index in corrupt
        yield frame


def error(frame_and_prior, still):
    found = frame_and_prior[1]
    known = found.reliability >= 8
    where = known if known.any() else slice(None)
    return np.abs(found.pixels.astype(int) - still)[where].mean()


@pytest.mark.parametrize("lookahead", range(MAX_LOOKAHEAD + 1))
@pytest.mark.parametrize("count", [0, 1, 2, 5, 17])
def test_no_frame_is_lost_or_moved(lookahead, count):
    out = list(remembered(clip(count, corrupt=(3,)), lookahead))
    assert [frame.index for frame, _ in out] == list(range(count))
    assert [found is None for _, found in out] == [index == 3 for index in range(count)]


def test_looking_ahead_knows_the_scene_from_the_first_frame_on():
    still = picture(90, 120) // 2 + 30
    causal, ahead = (list(remembered(clip(14, still), n)) for n in (0, 4))
    assert not causal[0][1].reliability.any()
    assert ahead[0][1].reliability.mean() > 100
    assert error(ahead[0], still) < 0.5 * error(causal[0], still)
    assert error(ahead[8], still) < 1.2 * error(causal[13], still)


@pytest.mark.parametrize("lookahead", [0, 4])
def test_what_bypasses_the_network_is_remembered_without_a_prior(lookahead):
    still = picture(90, 120) // 2 + 30

    def dry_at_first():
        for frame in clip(14, still):
            frame.bypass = "dry" if frame.index < 10 else None
            yield frame

    out = list(remembered(dry_at_first(), lookahead))
    assert [found is None for _, found in out] == [True] * 10 + [False] * 4
    assert out[10][1].frames > 4
    assert error((None, out[10][1]), still) < 6


@pytest.mark.parametrize("lookahead", [0, 4])
def test_the_density_of_rain_is_told_from_frames_in_the_order_of_time(lookahead, monkeypatch):
    seen = []
    monkeypatch.setattr(
        prior,
        "rain_density",
        lambda pictures, samples: seen.append([p[0, 0, 0] for p in pictures]) or 0.0,
    )
    still = picture(90, 120) // 2 + 30
    frames = list(clip(20, still))
    for frame in frames:
        frame.pixels = still.copy()
        frame.pixels[0, 0] = frame.index
    list(remembered(frames, lookahead))
    assert len(seen) > 10
    assert all(numbers == sorted(numbers) for numbers in seen)


@pytest.mark.parametrize("lookahead", [0, 4])
def test_as_long_as_it_is_dry_nothing_is_done_with_the_frames(lookahead, monkeypatch):
    looked = []
    honest = TemporalPrior._follow
    monkeypatch.setattr(
        TemporalPrior, "_follow", lambda self, frame: looked.append(0) or honest(self, frame)
    )
    still = picture(90, 120) // 2 + 30
    dry = clip(60, still)
    out = remembered((setattr(frame, "bypass", "dry") or frame for frame in dry), lookahead)
    assert len(list(out)) == 60
    assert not looked


@pytest.mark.parametrize("lookahead", [0, 4])
def test_where_rain_begins_the_last_dry_frames_are_looked_at_and_only_they(lookahead):
    still, elsewhere = picture(90, 120) // 2 + 30, 200 - picture(90, 120, 7) // 2
    frames = [*clip(30, elsewhere), *clip(20, still)]
    for number, frame in enumerate(frames):
        frame.index, frame.bypass = number, "dry" if number < 44 else None
    out = list(remembered(frames, lookahead))
    assert [frame.index for frame, _ in out] == list(range(50))
    assert [found is None for _, found in out] == [True] * 44 + [False] * 6
    assert out[44][1].frames >= 5
    assert error((None, out[44][1]), still) < 6


def test_nothing_of_another_scene_is_looked_at():
    first, second = picture(90, 120) // 2 + 30, 200 - picture(90, 120, 7) // 2
    frames = [*clip(8, first), *clip(8, second)]
    for number, (frame, found) in enumerate(remembered(frames, 4)):
        still = first if number < 8 else second
        assert np.abs(found.pixels.astype(int) - still).mean() < 8, number
        assert frame is frames[number]


@pytest.mark.parametrize("lookahead", [-1, 5])
def test_a_lookahead_that_cannot_be_is_refused(lookahead):
    with pytest.raises(ValueError, match="lookahead"):
        list(remembered(clip(1), lookahead))
