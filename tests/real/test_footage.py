"""The main job on real recordings: rain laid over them, cleaned, compared packet by packet."""

import hashlib
import json
from fractions import Fraction

import av
import numpy as np
import pytest

from streamderain import metrics
from streamderain.cli import main
from tests.real.data import footage
from tools.synthesize import main as synthesize

SECONDS = "2s"


def video_times(path, limit=None):
    with av.open(str(path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    return [time for time in times if limit is None or time - times[0] < limit]


def audio_packets(path):
    """Times and digests of all packets of the first audio track."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [
            (packet.pts * packet.time_base, hashlib.sha256(bytes(packet)).hexdigest())
            for packet in container.demux(stream)
            if packet.size
        ]


def pictures(path, every=10):
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % every == 0:
                yield frame.to_ndarray(format="rgb24")


@pytest.mark.parametrize("name", ["bikes.mp4", "car-detection.mp4"])
def test_a_recording_without_deraining_keeps_every_time_and_every_sound(name, tmp_path):
    source, target = footage(f"video/clean/{name}"), tmp_path / name
    assert main(["clean", str(source), "-o", str(target), "--model", "null"]) == 0
    assert video_times(target) == video_times(source)
    with av.open(str(source)) as container:
        if container.streams.audio:
            assert audio_packets(target) == audio_packets(source)


@pytest.mark.parametrize("name", ["bikes.mp4", "car-detection.mp4"])
def test_rain_on_a_recording_is_taken_away_and_nothing_else(name, tmp_path, capsys):
    source = footage(f"video/clean/{name}")
    made = ["video", str(source), "-o", str(tmp_path), "--preset", "heavy", "--seed", "1"]
    assert synthesize([*made, "--seconds", "2"]) == 0
    rainy, truth, target = tmp_path / "rainy.mp4", tmp_path / "clean.mp4", tmp_path / "out.mp4"
    capsys.readouterr()
    assert main(["clean", str(rainy), "-o", str(target), "--json", "-m", "attention-s"]) == 0
    job = json.loads(capsys.readouterr().out)["jobs"][0]
    assert job["derained"] == job["frames_in"] == job["frames_out"]
    assert video_times(target) == video_times(rainy)
    gained = [
        metrics.psnr(metrics.luma(after), metrics.luma(clean))
        - metrics.psnr(metrics.luma(before), metrics.luma(clean))
        for before, after, clean in zip(
            pictures(rainy), pictures(target), pictures(truth), strict=True
        )
    ]
    assert np.mean(gained) > 1.0, gained


def test_sound_goes_along_with_the_rain(tmp_path):
    source = footage("video/clean/car-detection.mp4")
    with av.open(str(source)) as container:
        if not container.streams.audio:
            pytest.skip("this copy of the recording has no sound")
    target = tmp_path / "piece.mp4"
    done = main(["clean", str(source), "-o", str(target), "-m", "null", "--sample", SECONDS])
    assert done == 0
    piece, whole = audio_packets(target), audio_packets(source)
    assert piece == whole[: len(piece)]
    assert piece[-1][0] <= Fraction(5, 2)


def test_real_rain_is_dimmed_where_it_falls_and_the_rest_is_left_alone(tmp_path):
    """A slow camera: what a frame has brighter than its neighbours in time is mostly rain."""
    folder = footage("video/real-rain/ra1")
    source = tmp_path / "ra1"
    source.mkdir()
    for path in sorted(folder.glob("*.jpg"))[:6]:
        (source / path.name).write_bytes(path.read_bytes())
    arguments = ["clean", str(source), "-o", str(tmp_path / "out"), "-m", "attention-s"]
    assert main(arguments) == 0
    from streamderain.readers.pictures import read_picture

    names = sorted(path.name for path in source.iterdir())
    before = [read_picture(source / name)[0].astype(int) for name in names]
    after = [read_picture(tmp_path / "out" / name)[0].astype(int) for name in names]
    removed = [b - a for b, a in zip(before, after, strict=True)]
    # Rain only brightens: hardly anything may be made brighter than it was.
    assert all((r < -12).mean() < 0.003 for r in removed)
    assert all((r > 12).mean() > 0.002 for r in removed)
    # Nothing shifts: the mean colour stays within half a level or so of what rain adds.
    assert all(np.abs(np.median(r, axis=(0, 1))).max() <= 1 for r in removed)
