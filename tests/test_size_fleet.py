"""What cameras need, from what a frame costs."""

import pytest

from streamderain.errors import UsageError
from tools.size_fleet import Frame, main, need, table

FRAME = Frame(rainy_ms=100, dry_ms=20, fps=10, rainy=0.25)


def test_live_cameras_are_sized_for_rain_on_all_of_them_at_once():
    assert need(10, FRAME, 1.0).live == 10
    assert need(10, FRAME, 0.5).live == 20


def test_recordings_are_sized_for_the_mean_of_wet_and_dry():
    found = need(10, FRAME, 1.0)
    assert found.recorded == 4  # 10 · 10 · (0.25 · 100 + 0.75 · 20) ms
    assert found.core_hours == pytest.approx(24 * 0.4)


def test_a_part_of_a_core_is_bought_whole():
    assert need(1, Frame(1, 1, 1, 1), 1.0).live == 1


def test_the_table_has_a_row_for_each_number_and_a_price_where_there_is_one():
    plain = table([10], FRAME, 1.0, None).splitlines()
    priced = table([10], FRAME, 1.0, 0.5).splitlines()
    assert plain[2] == "| 10 | 10 | 4 | 9.60 |"
    assert priced[2] == "| 10 | 10 | 4 | 9.60 | 4.80 |"
    assert len({line.count("|") for line in priced}) == 1


@pytest.mark.parametrize(
    ("cameras", "frame", "load"),
    [
        (0, FRAME, 1.0),
        (1, Frame(0, 1, 1, 0.5), 1.0),
        (1, Frame(1, 1, 1, 1.5), 1.0),
        (1, FRAME, 0.0),
        (1, FRAME, 1.5),
    ],
)
def test_figures_out_of_range_are_refused(cameras, frame, load):
    with pytest.raises(UsageError):
        need(cameras, frame, load)


def test_the_command_prints_it_or_says_what_is_wrong(capsys):
    assert main(["--rainy-ms", "135", "--dry-ms", "42", "--cameras", "10"]) == 0
    assert "| 10 | 49 |" in capsys.readouterr().out
    assert main(["--rainy-ms", "135", "--dry-ms", "42", "--load", "2"]) == 2
    assert "error: the load" in capsys.readouterr().err
