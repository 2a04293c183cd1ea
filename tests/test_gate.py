"""When rain begins and ends, by its score."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamderain.inference.gate import GateConfig, RainGate

scores = st.lists(st.floats(0, 1), max_size=80)


def decisions(values, **config):
    gate = RainGate(GateConfig(**config))
    return [gate.step(value) for value in values]


def test_the_first_score_decides_alone_and_before_it_rain_is_feared():
    assert decisions([None, None, 0.1, 0.1]) == [True, True, False, False]
    assert decisions([None, 0.9]) == [True, True]


def test_rain_begins_at_once_and_ends_when_it_has_stayed_away():
    values = [0.0] * 3 + [0.9] + [0.0] * 4 + [0.45] + [0.0] * 6
    expected = [False] * 3 + [True] * 9 + [True] * 2
    assert decisions(values, hold=5)[:14] == [*expected[:13], False]
    assert decisions([0.0, 0.45, 0.79], hold=5) == [False] * 3  # neither one nor the other


@given(scores, st.integers(1, 20))
def test_it_always_rains_at_a_high_score_and_never_after_long_silence(values, hold):
    gate = RainGate(GateConfig(wet=0.6, dry=0.3, hold=hold))
    below = 0
    for value in values:
        rains = gate.step(value)
        below = below + 1 if value < 0.3 else 0
        if value >= 0.6:
            assert rains
        if below >= hold:
            assert not rains
        assert gate.rains == rains


@pytest.mark.parametrize(
    "config", [{"wet": 0.2, "dry": 0.3}, {"wet": 1.1}, {"dry": -0.1}, {"hold": 0}]
)
def test_thresholds_that_make_no_sense_are_refused(config):
    with pytest.raises(ValueError, match="rain gate"):
        GateConfig(**config)
