"""Which encoders are tried, in which order."""

import pytest

from streamderain.writers.encoders import CODECS, NVENC, encoder_names, encoder_options


@pytest.mark.parametrize("codec", CODECS)
def test_the_gpu_comes_first_where_it_is_asked_for_and_the_cpu_is_always_there(codec):
    on_cpu, on_gpu = encoder_names(codec, cuda=False), encoder_names(codec, cuda=True)
    assert on_cpu
    assert not any("nvenc" in name for name in on_cpu)
    assert on_gpu[-len(on_cpu) :] == on_cpu
    assert [name for name in on_gpu if name not in on_cpu] == [
        name for name in [NVENC.get(codec)] if name
    ]


@pytest.mark.parametrize("codec", NVENC)
def test_the_gpu_keeps_a_constant_quality_or_a_rate(codec):
    assert encoder_options(NVENC[codec], codec, 30, "veryslow")["cq"] == "30"
    held = encoder_options(NVENC[codec], codec, None, None, bitrate=2_000_000)
    assert held["b"] == held["maxrate"] == "2000000"
    assert "cq" not in held
