"""Sizes, rates and durations as people write them."""

from fractions import Fraction

import pytest

from streamderain.arguments import parse_bitrate, parse_duration, parse_rate, parse_size
from streamderain.errors import UsageError


def test_a_size_is_width_by_height_and_comes_back_as_height_and_width():
    assert parse_size("1280x720") == (720, 1280)


@pytest.mark.parametrize("text", ["", "1280", "0x720", "1280x", "-1x5", "axb"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="WIDTHxHEIGHT"):
        parse_size(text)


def test_rates_are_exact_fractions():
    assert parse_rate("25") == 25
    assert parse_rate("30000/1001") == Fraction(30000, 1001)
    assert parse_rate("29.97") == Fraction(2997, 100)


@pytest.mark.parametrize("text", ["", "0", "-5", "25fps", "1/0"])
def test_a_rate_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="frame rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:01:30", 90),
        ("1:02.5", 62.5),
        ("5", 5),
        ("5s", 5),
        ("500ms", 0.5),
        ("1.5 m", 90),
        ("1h", 3600),
    ],
)
def test_durations_have_units(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "5 days", "s", "-3s"])
def test_a_duration_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "bits"), [("800k", 800_000), ("2M", 2_000_000), ("1.5M", 1_500_000), ("64000", 64000)]
)
def test_bit_rates_have_units(text, bits):
    assert parse_bitrate(text) == bits


@pytest.mark.parametrize("text", ["", "0", "2 Mbit/s", "M", "-1M", "999"])
def test_a_bit_rate_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="bit rate"):
        parse_bitrate(text)
