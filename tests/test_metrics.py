"""PSNR and SSIM, against figures worked out by hand."""

import numpy as np
import pytest

from streamderain import metrics


def flat(value, shape=(16, 20, 3)):
    return np.full(shape, value, np.uint8)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((0, 0, 0), 16.0),
        ((255, 255, 255), 235.0),
        ((255, 0, 0), 16 + 65.481),
        ((0, 255, 0), 16 + 128.553),
        ((0, 0, 255), 16 + 24.966),
    ],
)
def test_luma_is_that_of_bt601_from_16_to_235(colour, expected):
    picture = np.full((1, 1, 3), colour, np.uint8)
    assert metrics.luma(picture)[0, 0] == pytest.approx(expected, abs=1e-9)


def test_psnr_of_a_uniform_error_is_20_log10_of_255_over_it():
    assert metrics.psnr(flat(100), flat(105)) == pytest.approx(20 * np.log10(255 / 5))


def test_psnr_of_one_wrong_pixel_counts_all_pixels():
    a = np.zeros((10, 10), np.uint8)
    b = a.copy()
    b[3, 4] = 10  # a mean squared error of 1
    assert metrics.psnr(a, b) == pytest.approx(48.1308, abs=1e-4)


def test_psnr_of_black_against_white_is_nothing():
    assert metrics.psnr(flat(0), flat(255)) == 0


def test_equal_pictures_have_no_error_and_an_ssim_of_one():
    picture = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    assert metrics.psnr(picture, picture) == float("inf")
    assert metrics.ssim(picture, picture) == pytest.approx(1)


def test_ssim_of_flat_pictures_is_the_term_of_luminance():
    a, b, c1 = 100.0, 150.0, (0.01 * 255) ** 2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert metrics.ssim(flat(100), flat(150)) == pytest.approx(expected)


def test_ssim_of_an_inverted_pattern_is_below_zero():
    pattern = np.where(np.indices((30, 30)).sum(axis=0) % 2, 200, 50).astype(np.uint8)
    assert metrics.ssim(pattern, 250 - pattern) < -0.9


def test_ssim_of_one_window_is_its_weighted_formula():
    """An 11×11 picture has one window: means, variances and covariance by the definition."""
    rng = np.random.default_rng(4)
    x = rng.integers(0, 256, (11, 11)).astype(np.uint8)
    y = rng.integers(0, 256, (11, 11)).astype(np.uint8)
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2
    mx, my = (weights * x).sum(), (weights * y).sum()
    vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
    cov = (weights * (x - mx) * (y - my)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mx * my + c1) * (2 * cov + c2)
    assert metrics.ssim(x, y) == pytest.approx(
        top / ((mx**2 + my**2 + c1) * (vx + vy + c2)), rel=1e-9
    )


def test_ssim_of_colour_is_the_mean_over_channels():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 256, (2, 15, 18, 3), dtype=np.uint8)
    single = [metrics.ssim(a[..., c].copy(), b[..., c].copy()) for c in range(3)]
    assert metrics.ssim(a, b) == pytest.approx(np.mean(single))


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_pictures_of_different_shapes_are_refused(measure):
    with pytest.raises(ValueError, match="differ in shape"):
        measure(flat(0, (16, 16, 3)), flat(0, (16, 20, 3)))


def test_a_picture_smaller_than_the_window_has_no_ssim():
    with pytest.raises(ValueError, match="at least 11x11"):
        metrics.ssim(flat(0, (10, 40)), flat(0, (10, 40)))
