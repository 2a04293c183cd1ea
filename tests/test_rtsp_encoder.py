"""Frames become H.264 and RTP packets at once, and the policy of publishing, without a server."""

import numpy as np
import pytest

from streamderain.errors import OutputError
from streamderain.live.supervision import Backoff
from streamderain.writers import rtsp_encoder
from streamderain.writers.rtsp_encoder import EncoderSettings, LiveEncoder, RtpPacker, is_rtcp
from streamderain.writers.rtsp_encoder import units_of as units
from streamderain.writers.rtsp_policy import Fault, Publishing, RateWatch, Timeline
from tests.clips import picture
from tests.numbered import number_of, numbered
from tests.pushing import START


def decoded(packets):
    import av

    context = av.CodecContext.create("h264", "r")
    context.thread_type = "SLICE"
    return [each for packet in packets for each in context.decode(packet)]


def test_each_frame_leaves_the_encoder_at_once_and_key_frames_come_by_the_clock():
    encoder = LiveEncoder(240, 320, EncoderSettings(gop_s=0.5), 25.0)
    times = [0, 3600, 7200, 40000, 50000, 90000, 91000]
    packets = []
    for number, ticks in enumerate(times):
        (packet,) = encoder.encode(numbered(number), ticks)
        packets.append(packet)
    assert [packet.is_keyframe for packet in packets] == [1, 0, 0, 0, 1, 0, 0]
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets] == times
    first = [unit[0] & 31 for unit in units(bytes(packets[4]))]
    assert first[:2] == [7, 8]
    assert [number_of(each.to_ndarray(format="gray")) for each in decoded(packets)] == [*range(7)]


def test_a_viewer_can_begin_at_any_key_frame():
    encoder = LiveEncoder(240, 320, EncoderSettings(gop_s=0.2), 25.0)
    packets = [encoder.encode(numbered(n), n * 3600)[0] for n in range(12)]
    later = next(n for n, packet in enumerate(packets) if n and packet.is_keyframe)
    assert len(decoded(packets[later:])) == len(packets) - later


@pytest.mark.parametrize(("size", "left"), [((49, 65), (48, 64)), ((48, 65), (48, 64))])
def test_an_odd_pixel_is_cut_off(size, left):
    encoder = LiveEncoder(*size, EncoderSettings(), 25.0)
    (frame_,) = decoded(encoder.encode(picture(*size), 0))
    assert (frame_.height, frame_.width) == left


def test_packets_fit_a_network_and_reports_are_told_apart():
    encoder = LiveEncoder(480, 640, EncoderSettings(crf=5), 25.0)
    packer = RtpPacker(START, 1234)
    out = [each for n in range(5) for each in packer.pack(encoder.encode(picture(480, 640, n), n))]
    assert max(map(len, out)) <= 1400
    assert [is_rtcp(each) for each in out[:2]] == [True, False]
    assert sum(map(is_rtcp, out)) >= 1
    assert all(map(is_rtcp, packer.close()))
    assert packer.close() == []


@pytest.mark.parametrize("fps", [5, 25])
def test_a_bit_rate_is_held_whatever_the_frame_rate(fps):
    rng = np.random.default_rng(1)
    rate, settings = RateWatch(), EncoderSettings(bitrate=400_000)
    encoder, total = LiveEncoder(120, 160, settings, rate.fps), 0
    step = 90000 // fps
    for n in range(300):
        pixels = rng.integers(60, 180, (120, 160, 3), dtype=np.uint8)
        if rate.observe(n * step):
            encoder = LiveEncoder(120, 160, settings, rate.fps)
        size = sum(len(bytes(packet)) for packet in encoder.encode(pixels, n * step))
        total += size if n >= 150 else 0
    assert rate.fps == pytest.approx(fps, rel=0.05)
    assert total * 8 / (150 / fps) == pytest.approx(400_000, rel=0.25)


def test_the_rate_is_not_measured_across_two_announcements():
    rate = RateWatch()
    for frames in (30, 40, 30):
        assert not any(rate.observe(n * 3600) for n in range(frames))
    assert rate.fps == 25


def test_a_gpu_encodes_only_where_there_is_one_and_is_missed_only_where_it_was_asked_for(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(rtsp_encoder, "NVIDIA_DRIVER", tmp_path)  # a driver without an encoder
    encoder = LiveEncoder(240, 320, EncoderSettings(encoder="auto"), 25.0)
    assert encoder.name in ("h264_nvenc", "libx264")
    assert encoder.encode(numbered(0), 0)
    assert LiveEncoder(48, 64, EncoderSettings(encoder="cpu"), 25.0).name == "libx264"
    if encoder.name == "libx264":
        with pytest.raises(OutputError, match=r"no encoder here makes H\.264 of 320×240"):
            LiveEncoder(240, 320, EncoderSettings(encoder="nvenc"), 25.0)


def test_waits_grow_a_lasting_connection_resets_them_and_news_is_said_once():
    policy = Publishing(Backoff(1.0, 8.0, rng=lambda: 1.0))
    said = []
    now = 0.0
    for _ in range(3):
        assert policy.may_connect(now)
        said.append(policy.down(Fault.LOST, "no server", now))
        waited = next(n for n in range(100) if policy.may_connect(now + n))
        now += waited
        said.append(waited)
    assert said == [True, 1, False, 2, False, 4]
    assert policy.up(now)
    assert not policy.up(now)
    assert policy.down(Fault.LOST, "no server", now + 30)
    assert policy.may_connect(now + 31)


def test_a_clock_that_was_set_is_told_from_a_pause():
    line = Timeline(START, 10.0)
    assert line.stamp(START, 10.0) in range(91)
    assert not line.stepped(START + 300 * 10**9, 310.0)
    assert line.stepped(START + 300 * 10**9, 11.0)
    assert line.stepped(START - 300 * 10**9, 11.0)
