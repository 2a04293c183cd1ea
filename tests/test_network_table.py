"""The table of all networks."""

import re

from streamderain.models import available_models
from tools.network_table import main


def test_every_network_that_ships_has_a_row_with_its_time(capsys):
    assert main(["--size", "48x32", "--seconds", "0.05", "--device", "cpu"]) == 0
    head, _, *rows, blank, machine = capsys.readouterr().out.splitlines()
    assert "ms a 48x32 frame" in head
    assert not blank
    assert machine.endswith("on cpu")
    shipped = available_models()
    assert [row.split("`")[1] for row in rows] == [info.name for info in shipped]
    for row, info in zip(rows, shipped, strict=True):
        assert f"{info.card.validation['heavy'].psnr_y:.2f} / " in row
        assert re.search(r"\| \d+ \|$", row)


def test_a_size_that_is_none_is_a_sentence(capsys):
    assert main(["--size", "big"]) == 2
    assert "size" in capsys.readouterr().err
