"""Night, infrared and fog: what they do to a picture of the day, and to the rain in it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.rain.conditions import Day, Fog, Infrared, Lamp, Night, Sensor, distances
from streamderain.rain.drawn import CONDITIONS, rain_in, random_condition
from streamderain.rain.streaks import RainConfig, RainField
from tests.clips import picture
from tools.condition_clips import rain_layers, seen_in

SIZE = (96, 160)
DRY = np.zeros(SIZE, np.float32)
EVERYWHERE = np.full(SIZE, 0.5, np.float32)
STREET = np.full((*SIZE, 3), 120, np.uint8)
COLOURED = picture(*SIZE, 3)
LAMP = Lamp((30.0, 80.0), radius=3.0, reach=20.0)


def test_by_day_nothing_is_changed_but_for_the_rain():
    seen = Day().see(COLOURED, DRY)
    assert np.array_equal(seen.dry, COLOURED)
    assert np.array_equal(seen.wet, COLOURED)
    assert (Day().see(STREET, EVERYWHERE).wet == 248).all()  # half of white, to the even one


@pytest.mark.parametrize("name", CONDITIONS)
def test_rain_only_brightens_and_the_frame_stays_as_it_is(name):
    before = COLOURED.copy()
    condition = random_condition(name, SIZE, 5, np.random.default_rng(2))
    seen = condition.see(COLOURED, EVERYWHERE, 2)
    assert np.array_equal(COLOURED, before)
    assert seen.dry.shape == seen.wet.shape == COLOURED.shape
    assert seen.dry.dtype == seen.wet.dtype == np.uint8
    assert (seen.wet >= seen.dry).all()
    assert seen.wet.mean() > seen.dry.mean() + 5
    dry = condition.see(COLOURED, DRY, 2)
    assert np.array_equal(dry.dry, dry.wet)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(CONDITIONS), st.integers(0, 2**31))
@settings(max_examples=40)
def test_every_size_can_be_seen_in_every_condition(height, width, name, seed):
    rng = np.random.default_rng(seed)
    condition = random_condition(name, (height, width), 3, rng)
    frame = np.full((height, width, 3), 128, np.uint8)
    seen = condition.see(frame, np.zeros((height, width), np.float32), 1, (0.5, -2.0))
    assert condition.sensor.take(seen.dry, rng).shape == frame.shape


def test_an_infrared_picture_is_grey_with_its_rain_and_its_noise():
    infrared = Infrared()
    seen = infrared.see(COLOURED, EVERYWHERE)
    noisy = infrared.sensor.take(seen.wet, np.random.default_rng(1))
    for frame in (seen.dry, seen.wet, noisy):
        assert not np.ptp(frame, axis=2).any()
    assert np.abs(noisy.astype(int) - seen.wet).mean() > 1


def test_infrared_light_falls_off_to_the_edges_and_with_the_distance():
    light = Infrared(horizon=0.1).light(*SIZE)
    middle = SIZE[1] // 2
    assert light[60, middle] > 1.3 * light[60, 2]
    assert (np.diff(light[20:70, middle]) > 0).all()
    assert light.min() >= np.float32(Infrared().dark)


def test_what_is_close_to_an_infrared_lamp_is_white():
    near = Infrared(nearest_m=2.0, exposed_m=12.0, beam=0.9).see(STREET, DRY).dry
    assert near[-1, 80, 0] == 255
    assert near[25, 80, 0] < 160


def test_drops_close_to_the_camera_shine_most_in_its_own_light():
    config = RainConfig(density=3000, depths_m=(1.0, 8.0), brightness=1.0, focus_m=4.0)
    for layer, share in ((0, 1.0), (1, 1 / 8)):
        by_day, infrared = (
            RainField(*SIZE, replace(config, falloff=falloff), seed=4) for falloff in (0.0, 1.0)
        )
        for field in (by_day, infrared):  # the drops of one layer alone
            field._value = np.where(field._layer == layer, field._value, 0)
        seen, expected = infrared.layer(), share * by_day.layer()
        assert seen.max() > 0.02
        assert np.abs(seen - expected).max() < 1e-5
    with pytest.raises(ValueError, match="falloff"):
        RainConfig(falloff=-1)


def test_lamps_are_white_in_the_middle_and_glow_around_it():
    bare = Night(lamps=(LAMP,)).see(np.zeros_like(STREET), DRY).dry.astype(int)
    assert (bare[29:32, 79:82] == 255).all()
    row = bare[30, 80:130].max(axis=1)
    assert (np.diff(row) <= 0).all()
    assert row[8] > 20  # the glow
    assert row[-1] < 3
    red, _, blue = bare[30, 88]
    assert red > 1.3 * blue  # in the lamp's colour


def test_lamps_shine_where_they_aim():
    light, _ = Night(lamps=(LAMP,), ambient=0.1).light_and_glow(*SIZE)
    assert light[50, 80, 0] > 0.4  # below
    assert light[10, 80, 0] < 0.2  # above
    all_round, _ = Night(lamps=(replace(LAMP, aim=None),), ambient=0.1).light_and_glow(*SIZE)
    assert all_round[10, 80, 0] == pytest.approx(all_round[50, 80, 0])


def test_rain_at_night_is_seen_in_the_cones_of_lamps():
    seen = Night(lamps=(LAMP,), ambient=0.05).see(STREET, EVERYWHERE)
    added = seen.wet.astype(int).sum(axis=2) - seen.dry.astype(int).sum(axis=2)
    assert added[50, 80] > 5 * added[50, 5]


def test_a_headlight_goes_through_the_view_and_stays_with_the_scene():
    night = Night(lamps=(replace(LAMP, velocity=(0.0, 4.0)),))

    def middle(index, drift):
        _, glow = night.light_and_glow(*SIZE, index, drift)
        return np.unravel_index(int(glow[..., 0].argmax()), SIZE)

    assert middle(0, (0.0, 0.0)) == (30, 80)
    assert middle(5, (0.0, 0.0)) == (30, 100)
    assert middle(5, (3.0, 10.0)) == (27, 90)


def test_distances_are_those_of_a_level_ground():
    away = distances(100, 4, nearest_m=5.0, farthest_m=80.0, horizon=0.2)
    assert away.shape == (100, 4)
    assert away[-1, 0] == pytest.approx(5.0, rel=0.02)
    assert (away[:20] == 80).all()
    assert (np.diff(away[:, 0]) <= 0).all()
    # Twice as far below the horizon is half as far away.
    assert away[29, 0] / away[39, 0] == pytest.approx(19.5 / 9.5, rel=0.01)


def test_fog_hides_by_koschmieders_law():
    fog = Fog(visibility_m=60.0, airlight=0.8, tint=(1.0, 1.0, 1.0), horizon=0.0)
    dark, bright = (fog.see(np.full_like(STREET, v), DRY).dry.astype(float) for v in (0, 200))
    away = distances(*SIZE, nearest_m=fog.nearest_m, farthest_m=fog.farthest_m, horizon=0.0)
    left = ((bright - dark) / 200)[..., 0]
    assert np.abs(left - np.exp(-3 * away / 60)).max() < 0.01
    assert dark[0, 0, 0] == pytest.approx(0.8 * 255, abs=3)  # at the horizon nothing but fog


def test_noise_grows_with_the_signal_as_its_sensor_says():
    sensor, rng = Sensor(read=3.0, shot=0.2), np.random.default_rng(3)
    for level in (60, 180):
        frame = np.full((200, 200, 3), level, np.uint8)
        noise = sensor.take(frame, rng).astype(float) - level
        assert noise.std() == pytest.approx((9 + 0.2 * level) ** 0.5, rel=0.03)
        assert abs(noise.mean()) < 0.2


def test_grain_is_as_strong_as_fine_noise():
    frame, rng = np.full((200, 200, 3), 128, np.uint8), np.random.default_rng(3)
    fine, grainy = (
        Sensor(read=5.0, grain=grain).take(frame, rng).astype(float) - 128 for grain in (0.0, 0.8)
    )
    assert grainy.std() == pytest.approx(fine.std(), rel=0.1)
    neighbours = np.corrcoef(grainy[:, 1:, 0].ravel(), grainy[:, :-1, 0].ravel())[0, 1]
    assert neighbours > 0.3


def test_figures_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="0 or more"):
        Sensor(read=-1)
    with pytest.raises(ValueError, match="a condition is one of day, infrared, night, fog"):
        random_condition("snow", SIZE, 1, np.random.default_rng(1))


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_same_seed_gives_the_same_clip_in_a_condition(name):
    frames = [COLOURED] * 3
    one, same, other = (seen_in(name, frames, np.random.default_rng(seed)) for seed in (5, 5, 6))
    for a, b in zip(one.rainy + one.dry, same.rainy + same.dry, strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(one.rainy[0], other.rainy[0])
    assert len(one.truth) == len(one.wet) == len(one.dry) == len(one.rainy) == 3
    assert not np.array_equal(one.wet[1], one.truth[1])


@pytest.mark.parametrize("name", CONDITIONS)
def test_rain_in_a_condition_covers_some_of_the_picture_but_not_most(name):
    rng = np.random.default_rng(8)
    for _ in range(3):
        (layer,) = rain_layers(name, 1, SIZE, rng)
        assert 0.004 <= (layer > 0.1).mean() <= 0.2
    exposures = [rain_in(name, rng).exposure_s for _ in range(60)]
    longest = {"infrared": 1 / 25, "night": 1 / 20}.get(name, 1 / 30)
    assert max(exposures) <= longest + 1e-9
    if name in ("infrared", "night"):
        assert min(exposures) >= 1 / 125
