"""The yardstick: PReNet's shape, and how our networks are measured against it."""

import pytest

torch = pytest.importorskip("torch")

from streamderain.networks.count import macs_per_pixel  # noqa: E402
from tools.yardstick import (  # noqa: E402
    NAME,
    Setting,
    Timed,
    fastest,
    main,
    markdown,
    prenet_shaped,
    settings,
)


def test_the_yardstick_has_as_many_parameters_as_are_published():
    assert sum(p.numel() for p in prenet_shaped().parameters()) == 168_963


def test_its_multiplications_are_those_of_six_recursions():
    once = 9 * (6 * 32 + 64 * 128 + 10 * 32 * 32 + 32 * 3)
    assert macs_per_pixel(prenet_shaped()) == 6 * once


def test_it_gives_pictures_of_the_size_that_it_takes():
    assert prenet_shaped()(torch.rand(1, 3, 17, 23)).shape == (1, 3, 17, 23)


def test_it_runs_as_fast_as_it_can_here_and_leaves_the_threads_as_they_were(monkeypatch):
    from streamderain.bench.footage import Footage

    tried = [Setting(1, False), Setting(1, True), Setting(2, False)]
    monkeypatch.setattr("tools.yardstick.settings", lambda: tried)
    monkeypatch.setattr(
        "tools.yardstick.yardstick_turn",
        lambda network, footage, setting: lambda: 1.0 + (setting != tried[1]),
    )
    before = torch.get_num_threads()
    setting, turn = fastest(prenet_shaped(), Footage(24, 32))
    assert (setting, turn()) == (tried[1], 1.0)
    assert str(setting) == "1 thread, channels last"
    assert torch.get_num_threads() == before


def test_one_thread_is_always_among_what_is_tried():
    assert Setting(1, False) in settings()


def test_ratios_are_of_turns_that_followed_each_other():
    said = markdown(
        Timed(NAME, "PyTorch", 1000.0, [1.0, 2.0, 1.0]),
        [Timed("`ours`", "OpenVINO", None, [0.5, 0.5, 0.25])],
        100,
        200,
    )
    _, _, yardstick, ours = said.splitlines()
    assert yardstick == f"| {NAME} | PyTorch | 1,000 | 0.02 | 1,000.0 | 1 |"
    assert ours == "| `ours` | OpenVINO |  | 0.04 | 500.0 | 4 (2 to 4) |"


def test_all_are_measured_in_one_run_and_told_as_markdown(capsys):
    assert main(["attention-s", "null", "--size", "48x32", "--seconds", "0.05"]) == 0
    head, rule, *rows, blank, machine = capsys.readouterr().out.splitlines()
    assert "ms a 48x32 frame" in head
    assert set(rule) == set("| -:")
    assert [row.split(" | ")[0] for row in rows] == [f"| {NAME}", "| `attention-s`", "| `null`"]
    assert not blank
    assert "turns of each" in machine


@pytest.mark.parametrize(
    ("options", "words"),
    [(["null", "--size", "big"], "size"), (["null", "--seconds", "0"], "--seconds")],
)
def test_what_makes_no_sense_is_a_sentence(options, words, capsys):
    assert main(options) == 2
    assert words in capsys.readouterr().err


def test_a_network_that_is_not_there_is_a_sentence(capsys):
    assert main(["sunshine", "--size", "48x32"]) == 2
    assert "no model is named" in capsys.readouterr().err
