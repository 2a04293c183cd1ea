"""Synthetic rain: reproducible, lasting drops, and every part coupled to the rate."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamderain.rain.simulate import PRESETS, RainLook, RainSimulator, rain_config, transmission
from streamderain.rain.streaks import RainConfig, RainField, random_config

HEAVY = PRESETS["heavy"]
STREET = np.full((90, 160, 3), 90, np.uint8)


def rained(look, frame=STREET, frames=1, seed=3):
    simulator = RainSimulator(*frame.shape[:2], look, seed=seed)
    return [simulator.rain_on(frame) for _ in range(frames)]


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_seed_gives_the_same_rain_byte_for_byte(name):
    first, again = rained(PRESETS[name], frames=3), rained(PRESETS[name], frames=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    other = rained(PRESETS[name], seed=4)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("name", PRESETS)
def test_the_frame_that_is_rained_on_stays_as_it_is(name):
    before = STREET.copy()
    rained(PRESETS[name], before)
    assert np.array_equal(before, STREET)


def test_streaks_only_add_light():
    bare = replace(HEAVY, noise=0, sharpening=0)
    dry = replace(bare, rate_mm_h=0)
    assert np.array_equal(rained(dry)[0], STREET)
    veiled = rained(replace(bare, brightness=0))[0]
    wet = rained(bare)[0]
    assert (wet >= veiled).all()
    assert (wet > veiled + 30).any()


def test_the_veil_thickens_with_the_rate_and_the_distance():
    rates = [transmission(replace(HEAVY, rate_mm_h=rate)) for rate in (0, 2.5, 10, 50, 150)]
    assert rates[0] == 1
    assert rates == sorted(rates, reverse=True)
    assert transmission(replace(HEAVY, distance_m=500)) < transmission(HEAVY)


def test_more_and_larger_drops_fall_at_a_higher_rate():
    light, heavy = (rain_config(PRESETS[name], 360, 640, 25) for name in ("light", "heavy"))
    assert heavy.density > 5 * light.density
    assert heavy.diameter_mm > light.diameter_mm


def test_streaks_fill_the_same_share_of_a_larger_picture():
    small, large = (rain_config(HEAVY, 360 * n, 640 * n, 25) for n in (1, 3))
    assert small.density * 0.2304 == pytest.approx(large.density * 9 * 0.2304)
    assert large.focal_px == pytest.approx(3 * small.focal_px)


def test_drops_keep_their_speed_from_frame_to_frame():
    config = RainConfig(
        density=70, wind=0, turbulence=0, exposure_s=1 / 500, fps=100, depths_m=(4.0,),
        brightness=1.0, aperture_px=0,
    )  # fmt: skip
    rain = RainField(400, 200, config, seed=5)
    first, second = rain.layer(), rain.layer()

    def rows(layer):
        """Mean row of each column's light, where there is any well inside the picture."""
        mass = layer[20:-80].sum(0)
        weight = (layer * np.arange(400)[:, None]).sum(0)
        return {x: weight[x] / layer[:, x].sum() for x in np.flatnonzero(mass > 0.2)}

    moved = [
        rows(second)[x] - row for x, row in rows(first).items() if x in rows(second)
    ]  # drops fall straight, so a column keeps its drop
    # 4 to 9 m/s at 4 m with 700 pixels focal length, in a hundredth of a second
    assert len(moved) > 3
    assert all(2 < step < 25 for step in moved), moved


def test_a_drop_goes_as_far_in_every_frame_as_its_speed_says():
    config = RainConfig(
        density=1, wind=0.2, turbulence=0, exposure_s=1 / 500, fps=100, depths_m=(4.0,),
        brightness=1.0, aperture_px=0,
    )  # fmt: skip
    rain = RainField(600, 600, config, seed=1)  # a single drop
    y, x = np.mgrid[0:600, 0:600]
    places = []
    for layer in (rain.layer() for _ in range(20)):
        rows, columns = np.nonzero(layer)
        if (
            len(rows)
            and min(rows.min(), columns.min()) > 5
            and max(rows.max(), columns.max()) < 594
        ):
            places.append(np.array([(layer * x).sum(), (layer * y).sum()]) / layer.sum())
    steps = np.diff(places, axis=0)
    steps = steps[np.abs(steps).max(axis=1) < 100]  # without its return to the top
    assert len(steps) >= 10
    assert np.ptp(steps, axis=0).max() < 0.4  # pixels
    sideways, down = steps.mean(axis=0)
    assert sideways / down == pytest.approx(0.2, abs=0.02)
    fastest = 9.65 * config.focal_px / (4.0 * 0.8) / config.fps
    assert 5 < down < fastest


def test_streaks_lean_with_the_wind():
    def lean(wind):
        config = RainConfig(density=400, wind=wind, turbulence=0, exposure_s=1 / 40)
        layer = RainField(200, 200, config, seed=1).layer()
        gy, gx = np.gradient(layer)
        return (gx * gy).sum() / np.sqrt((gx**2).sum() * (gy**2).sum())

    assert lean(0.4) < -0.1
    assert lean(-0.4) > 0.1
    assert abs(lean(0.0)) < 0.05


def test_a_longer_exposure_makes_longer_streaks():
    def length(exposure):
        config = RainConfig(density=50, wind=0, exposure_s=exposure, depths_m=(6.0,))
        layer = RainField(300, 300, config, seed=2).layer()
        return (layer > 0.1).sum(0).max()

    assert length(1 / 30) > 2 * length(1 / 200)


def test_at_night_drops_shine_only_where_there_is_light():
    street = np.full((120, 200, 3), 4, np.uint8)
    street[40:80, 150:] = 160
    night = replace(PRESETS["night"], noise=0, sharpening=0, rate_mm_h=60, exposure_s=1 / 60)
    without = rained(replace(night, brightness=0), street, 8)
    streaks = [a.astype(int) - b for a, b in zip(rained(night, street, 8), without, strict=True)]
    added = np.mean(streaks, axis=0)
    assert added[40:80, 150:].mean() > 3 * added[:, :80].mean()


def test_lamps_have_halos_that_grow_with_the_rain():
    street = np.full((120, 200, 3), 10, np.uint8)
    street[58:62, 98:102] = 255

    def halo(rate):
        look = replace(PRESETS["night"], rate_mm_h=rate, brightness=0, noise=0, sharpening=0)
        return int(rained(look, street)[0][60, 92].mean())

    near, far = halo(5), halo(40)
    street[:] = 10  # the lamp is out: only the veil is left
    assert halo(5) + 2 < near
    assert halo(40) + 5 < far
    assert near < far


def test_a_white_wall_at_night_is_no_lamp():
    street = np.full((120, 200, 3), 10, np.uint8)
    street[:, 80:] = 220
    look = replace(PRESETS["night"], brightness=0, noise=0, sharpening=0)
    by_day = rained(replace(look, night=False), street)[0]
    at_night = rained(look, street)[0]
    assert np.abs(at_night.astype(int) - by_day).mean() < 1


def test_the_camera_adds_its_noise_anew_in_every_frame():
    first, second = rained(replace(HEAVY, rate_mm_h=0, noise=3, sharpening=0), frames=2)
    difference = first.astype(int) - second
    assert 2 < difference.std() / np.sqrt(2) < 4
    assert abs(difference.mean()) < 0.3


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(sorted(PRESETS)))
@settings(max_examples=25)
def test_every_size_can_be_rained_on(height, width, name):
    frame = np.full((height, width, 3), 128, np.uint8)
    rainy = RainSimulator(height, width, PRESETS[name]).rain_on(frame)
    assert rainy.shape == frame.shape
    assert rainy.dtype == np.uint8


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_random_rains_are_legal_and_give_light_in_range(seed):
    config = random_config(np.random.default_rng(seed))
    layer = RainField(60, 80, config, seed=0).layer()
    assert layer.dtype == np.float32
    assert 0 <= layer.min() <= layer.max() <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_mm_h": -1}, {"rate_mm_h": 1000}, {"exposure_s": 0}, {"wind": 5},
        {"field_of_view_deg": 180},
    ],
)  # fmt: skip
def test_figures_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        RainLook(**{"rate_mm_h": 10, **wrong})


def test_a_frame_of_another_size_is_refused():
    with pytest.raises(ValueError, match="expected"):
        RainSimulator(10, 20, HEAVY).rain_on(np.zeros((20, 10, 3), np.uint8))
    with pytest.raises(ValueError, match="no rain on"):
        RainSimulator(0, 20, HEAVY)
