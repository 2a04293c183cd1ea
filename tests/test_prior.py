"""What the past says of a frame: the scene behind the rain, and how far to trust it."""

import weakref

import cv2
import numpy as np
import pytest

from streamderain import metrics
from streamderain.inference.density import rain_density, ranks_for
from streamderain.inference.past import SPAN, TemporalPrior
from streamderain.inference.prior import Remembered, estimate, no_prior
from streamderain.rain.streaks import RainConfig, RainField
from tools.clips import Mover, camera_path, draw_clip

SIZE = (240, 320)


@pytest.fixture(scope="module")
def still():
    rng = np.random.default_rng(3)
    total = np.zeros((440, 600, 3), np.float32)
    for side in (4, 9, 25, 70):
        small = rng.uniform(0, 255, (440 // side + 1, 600 // side + 1, 3)).astype(np.float32)
        total += cv2.resize(small, (600, 440), interpolation=cv2.INTER_CUBIC)
    return np.clip(total / 4 * 1.4 - 60, 0, 200).astype(np.uint8)


def rained_on(frames, seed=1, density=12_000):
    field = RainField(*SIZE, RainConfig(density=density, brightness=0.8), seed)
    noise = np.random.default_rng(seed)
    return [
        np.clip(f + 255 * field.layer()[..., None] + noise.normal(0, 1.5, f.shape), 0, 255)
        .astype(np.uint8)
        for f in frames
    ]  # fmt: skip


def psnr(a, b, where=None):
    error = (metrics.luma(a) - metrics.luma(b)) ** 2
    return 10 * np.log10(
        255**2 / max(1e-6, float((error if where is None else error[where]).mean()))
    )


def priors(frames):
    past = TemporalPrior()
    return [past.step(frame) for frame in frames]


def test_of_a_camera_that_stands_the_past_knows_the_scene_behind_the_rain(still):
    clean = draw_clip(still, np.zeros((14, 2)), [], SIZE).frames
    rainy = rained_on(clean)
    found = priors(rainy)
    assert [prior.frames for prior in found] == [0, 0, *range(2, SPAN), *[SPAN] * (15 - SPAN - 1)]
    trusted = found[-1].reliability > 128
    assert trusted.mean() > 0.85
    known = psnr(found[-1].pixels, clean[-1], trusted)
    assert known > psnr(rainy[-1], clean[-1], trusted) + 11
    assert known > 38


def test_the_longer_the_past_the_better_it_knows(still):
    clean = draw_clip(still, np.zeros((12, 2)), [], SIZE).frames
    rainy = rained_on(clean, density=15_000)
    quality = []
    for span in (3, 5, 9):
        past = TemporalPrior(span)
        *_, last = (past.step(frame) for frame in rainy)
        quality.append(psnr(last.pixels, clean[-1]))
    assert quality[0] < quality[1] < quality[2] - 0.3


@pytest.mark.parametrize("motion", ["tremble", "pan"])
def test_a_camera_that_moves_is_followed(still, motion):
    rng = np.random.default_rng(5)
    path = camera_path(motion, 14, rng, reach=(200, 280))
    clean = draw_clip(still, path, [], SIZE).frames
    rainy = rained_on(clean)
    last = priors(rainy)[-1]
    trusted = last.reliability > 128
    assert trusted.mean() > 0.6
    assert psnr(last.pixels, clean[-1], trusted) > psnr(rainy[-1], clean[-1], trusted) + 6
    step = path[-2] - path[-1]
    assert last.movement.down == pytest.approx(step[0], abs=0.3)
    assert last.movement.right == pytest.approx(step[1], abs=0.3)


@pytest.mark.parametrize("bright", [False, True])
def test_what_moves_is_not_trusted(still, bright):
    texture = np.full((40, 50, 3), 235 if bright else 20, np.uint8)
    thing = Mover(texture, np.ones((40, 50), np.float32), (40.0, -60.0), (0.0, 10.0))
    clip = draw_clip(still, np.zeros((14, 2)), [thing], SIZE)
    frames = rained_on(clip.frames, density=4000)
    last = priors(frames)[-1]
    here = clip.moving[-1]
    assert (last.reliability[here] > 128).mean() < 0.25
    # Where it was up to two frames ago neither: the scene there has only just come back.
    before = clip.moving[-2] & ~here
    ghost = before & (last.reliability > 128)
    assert ghost.sum() < 0.35 * before.sum() or psnr(last.pixels, clip.frames[-1], ghost) > 30


@pytest.mark.parametrize("change", ["cut", "night", "knocked", "size"])
def test_another_scene_begins_anew(still, change):
    other = {
        "cut": 200 - still[200:, 280:],
        "night": cv2.cvtColor(cv2.cvtColor(still, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 4,
        "knocked": np.rot90(still, 2),
        "size": still,
    }[change]
    size = (100, 140) if change == "size" else SIZE
    first = rained_on(draw_clip(still, np.zeros((10, 2)), [], SIZE).frames)
    second = [np.ascontiguousarray(other[: size[0], : size[1]]) for _ in range(6)]
    found = priors([*first, *second])
    assert found[9].reliability.mean() > 200
    for prior in found[10:12]:  # nothing of the old scene is there, not for one frame
        assert not prior.reliability.any()
    assert found[10].frames == 0
    assert found[10].movement is None
    assert found[14].reliability.mean() > 60
    assert psnr(found[14].pixels, second[0], found[14].reliability > 0) > 40


def test_the_first_frame_has_no_past_and_its_own_pixels():
    frame = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    prior = TemporalPrior().step(frame)
    assert not prior.reliability.any()
    assert np.array_equal(prior.pixels, frame)
    assert np.array_equal(no_prior(frame).pixels, frame)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (17, 33)])
def test_any_size_goes_through(size):
    rng = np.random.default_rng(1)
    past = TemporalPrior()
    for _ in range(12):
        frame = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        prior = past.step(frame)
        assert prior.pixels.shape == frame.shape
        assert prior.reliability.shape == size
        assert prior.pixels.dtype == prior.reliability.dtype == np.uint8


def test_frames_are_never_written_to(still):
    frames = rained_on(draw_clip(still, np.zeros((5, 2)), [], SIZE).frames)
    copies = [frame.copy() for frame in frames]
    priors(frames)
    assert all(np.array_equal(a, b) for a, b in zip(frames, copies, strict=True))


def test_dense_rain_is_looked_through_too(still):
    clean = draw_clip(still, np.zeros((14, 2)), [], SIZE).frames
    rng = np.random.default_rng(2)
    rainy = []
    for frame in clean:
        hidden = cv2.GaussianBlur(rng.random(SIZE).astype(np.float32), (3, 15), 0) > 0.5
        rainy.append(np.where(hidden[..., None], np.maximum(frame, 210), frame))
    assert (rainy[-1] != clean[-1]).any(axis=2).mean() > 0.4
    last = priors(rainy)[-1]
    known = last.reliability >= 8
    assert known.mean() > 0.4
    assert psnr(last.pixels, clean[-1], known) > psnr(rainy[-1], clean[-1], known) + 8


def trusted(scene, where):
    """Return the share of places that the past is trusted in, of those that are brighter now."""
    others = [Remembered(scene, 0.0, 0.0, number) for number in range(SPAN)]
    frame = scene.copy()
    frame[where] += 50
    return (estimate(frame, (0.0, 0.0), others).reliability[where] > 128).mean()


def test_dense_streaks_are_not_broad(still):
    streaks = np.zeros(SIZE, bool)
    for column in range(2, SIZE[1], 9):
        streaks[:, column : column + 5] = True
    assert trusted(still[: SIZE[0], : SIZE[1]], streaks) > 0.98


@pytest.mark.parametrize("size", [(240, 320), (239, 317), (19, 40)])
@pytest.mark.parametrize("down", range(4))
@pytest.mark.parametrize("right", range(4))
def test_what_is_broad_is_no_rain_to_its_edges_wherever_it_lies(still, size, down, right):
    """Places are looked at four by four; a thing may begin and end within them."""
    room = size[0] - 15, size[1] - 16
    for top, left in ((0, 0), (room[0] // 3, room[1] // 3), (room[0] - 3, room[1] - 3)):
        thing = np.zeros(size, bool)
        top, left = min(max(0, top) + down, room[0]), min(left + right, room[1])
        thing[top : top + 15, left : left + 16] = True
        assert trusted(still[: size[0], : size[1]], thing) < 0.15  # its rim is softened


def test_the_denser_the_rain_the_lower_the_ranks():
    assert ranks_for(9) == (4, 3, 1)
    assert ranks_for(9, 0.05) == (3, 3, 1)
    assert ranks_for(9, 0.1) == (2, 2, 0)
    assert ranks_for(9, 1.0) == (2, 1, 0)
    assert ranks_for(2) == ranks_for(2, 0.15) == (0, 0, 0)
    for count in range(1, 10):
        found = [ranks_for(count, density) for density in np.linspace(0, 0.15, 16)]
        assert all(0 <= low <= below <= middle < count for middle, below, low in found)
        assert found == sorted(found, reverse=True)


def test_the_density_is_of_what_flashes_up_and_not_of_noise_or_of_what_moves(still):
    rng = np.random.default_rng(4)
    clean = draw_clip(still, np.zeros((9, 2)), [], SIZE).frames
    noise = [np.clip(f + rng.normal(0, 12, f.shape), 0, 255).astype(np.uint8) for f in clean]
    thing = Mover(still[:120, :160], np.ones((120, 160), np.float32), (40, -20), (0.0, 14.0))
    moves = draw_clip(still, np.zeros((9, 2)), [thing], SIZE).frames
    assert rain_density(clean) == 0
    assert rain_density(clean[:4]) == 0
    assert rain_density(noise) < 0.01
    assert ranks_for(9, rain_density(moves)) == ranks_for(9)
    assert 0.02 < rain_density(rained_on(clean, density=12_000)) < 0.15


def test_of_heavy_rain_the_scene_is_low_among_the_values(still):
    clean = draw_clip(still, np.zeros((10, 2)), [], SIZE).frames
    rainy = rained_on(clean, density=25_000)
    assert rain_density(rainy[:9]) > 0.08
    middle = np.sort(np.stack(rainy[:9]), axis=0)[4]
    last = priors(rainy)[-1]
    known = last.reliability > 0
    assert known.mean() > 0.7
    assert psnr(last.pixels, clean[-1], known) > psnr(middle, clean[-1], known) + 1.5


@pytest.mark.parametrize("span", [0, 10])
def test_a_span_that_cannot_be_is_refused(span):
    with pytest.raises(ValueError, match="1 to 9"):
        TemporalPrior(span)


def test_a_prior_that_is_made_later_is_the_one_of_its_frames_time(still):
    rainy = rained_on(draw_clip(still, np.zeros((16, 2)), [], SIZE).frames)
    expected, past = priors(rainy), TemporalPrior()
    recalled = []
    for index, frame in enumerate(rainy):
        recalled.append(past.later(frame))
        if index % 5 < 4:
            continue
        for number in (index, index - 2, index - 4):  # the last one first; two are never needed
            one, other = recalled[number], expected[number]
            assert not one.used
            made = one.use()
            assert one.used
            assert (made.frames, made.movement) == (other.frames, other.movement)
            assert np.array_equal(made.pixels, other.pixels)
            assert np.array_equal(made.reliability, other.reliability)
            assert one.make() is made


@pytest.mark.parametrize(
    ("passed", "looked_at"),
    [((6,), range(7)), ((5, 6), range(7)), ((2, 3, 4, 5, 6), (0, 1, 4, 6)), (range(7), (4, 6)),
     ((0, 1, 2, 4, 6), (2, 3, 5, 6))],
)  # fmt: skip
def test_of_frames_that_pass_as_they_came_few_are_looked_at(still, passed, looked_at):
    rainy = rained_on(draw_clip(still, np.zeros((8, 2)), [], SIZE).frames)
    past, looked = TemporalPrior(), []
    follow = past._follow
    past._follow = lambda picture: looked.append(picture) or follow(picture)
    recalled = [past.later(frame) for frame in rainy[:8]]
    for number in passed:
        recalled[number].forgo()
    recalled[7].make()
    assert [next(i for i, f in enumerate(rainy) if f is one) for one in looked] == [
        *sorted(looked_at), 7,
    ]  # fmt: skip


def test_a_frame_that_waits_too_long_has_a_prior_that_says_nothing(still):
    past = TemporalPrior()
    first, *_ = [past.later(frame) for frame in [still[:240, :320]] * (SPAN + 1)]
    made = first.use()
    assert made.frames == 0
    assert not made.reliability.any()


def test_no_more_than_one_past_is_held_of_frames_that_nobody_asks_for(still):
    past, held = TemporalPrior(), []
    for index in range(4 * SPAN):
        frame = still[:240, :320].copy()
        held.append(weakref.ref(frame))
        if index < 2 * SPAN:
            past.step(frame)
        else:
            past.remember(frame)
        del frame
    assert sum(one() is not None for one in held) == SPAN
    assert past.step(still[:240, :320].copy()).frames == SPAN - 1
