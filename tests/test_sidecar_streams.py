"""Sound, subtitles, chapters, attachments and tags are copied as they are."""

from __future__ import annotations

from fractions import Fraction

import av
import pytest

from streamderain.errors import OutputError
from streamderain.writers import sidecar
from tests.clips import frame_times, make_clip, null_copy, packets

FONT = b"\x00\x01\x00\x00" + bytes(range(256)) * 40


def full_mkv(path, *, frames=50):
    """Two AAC tracks, a subtitle, two chapters, a font, tags."""
    clip = make_clip(path.with_name("plain.mkv"), frames=frames, audio_tracks=2)
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        output.metadata.update({"title": "Gate, wet", "comment": "Fahrstraße 1"})
        copies = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        for stream in source.streams:
            copies[stream.index].metadata.update(stream.metadata)
        video, audio = copies[0], copies[2]
        video.metadata["title"] = "Camera 3"
        audio.disposition = av.stream.Disposition.default | av.stream.Disposition.comment
        subtitle = output.add_mux_stream("subrip")
        subtitle.metadata["language"] = "deu"
        output.add_attachment("rain.ttf", "application/x-truetype-font", FONT)
        thousandth = Fraction(1, 1000)
        output.set_chapters(
            [
                {"id": 1, "start": 0, "end": 900, "time_base": thousandth,
                 "metadata": {"title": "Dry"}},
                {"id": 2, "start": 900, "end": 2000, "time_base": thousandth,
                 "metadata": {"title": "Wet"}},
            ]
        )  # fmt: skip
        waiting = [
            _text("first", 100, 500, subtitle), _text("second", 1200, 300, subtitle),
        ]  # fmt: skip
        for packet in source.demux():
            if not packet.size:
                continue
            while waiting and packet.dts * packet.time_base > waiting[0].pts * Fraction(1, 1000):
                output.mux(waiting.pop(0))
            packet.stream = copies[packet.stream.index]
            output.mux(packet)
    clip.unlink()
    return path


def _text(text, start, duration, stream):
    packet = av.Packet(text.encode())
    packet.pts = packet.dts = start
    packet.duration = duration
    packet.time_base = Fraction(1, 1000)
    packet.is_keyframe = True
    packet.stream = stream
    return packet


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv", "ts"])
def test_sound_is_copied_bit_for_bit_at_the_same_times(tmp_path, ending):
    source = make_clip(tmp_path / f"a.{ending}", frames=40, audio_tracks=2)
    copied = null_copy(source, tmp_path / f"b.{ending}")
    assert copied.notes == []
    for track in (0, 1):
        before = packets(source, "audio", track)
        assert len(before) > 60
        assert packets(tmp_path / f"b.{ending}", "audio", track) == before


def test_sound_and_picture_of_a_late_start_stay_together(tmp_path):
    pts = [128000 + 512 * index for index in range(20)]
    source = make_clip(tmp_path / "a.mp4", frames=20, pts=pts, audio_tracks=1)
    null_copy(source, tmp_path / "b.mp4")
    assert packets(tmp_path / "b.mp4", "audio") == packets(source, "audio")
    assert frame_times(tmp_path / "b.mp4") == frame_times(source)


def test_matroska_keeps_everything(tmp_path):
    source = full_mkv(tmp_path / "a.mkv")
    copied = null_copy(source, tmp_path / "b.mkv")
    assert copied.notes == []
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mkv")) as two:
        assert [s.type for s in two.streams] == [s.type for s in one.streams]
        assert two.metadata["title"] == "Gate, wet"
        assert two.metadata["COMMENT"] == "Fahrstraße 1"
        assert two.chapters() == one.chapters()
        assert [s.language for s in two.streams] == [s.language for s in one.streams]
        assert [s.disposition for s in two.streams] == [s.disposition for s in one.streams]
        assert two.streams.video[0].metadata["title"] == "Camera 3"
        assert two.streams.attachments[0].data == FONT
        assert two.streams.attachments[0].name == "rain.ttf"
    for kind, count in (("audio", 2), ("subtitles", 1)):
        for number in range(count):
            before = packets(source, kind, number)
            assert before
            assert packets(tmp_path / "b.mkv", kind, number) == before


def test_mp4_keeps_what_it_can_and_names_the_rest(tmp_path):
    source = full_mkv(tmp_path / "a.mkv")
    copied = null_copy(source, tmp_path / "b.mp4")
    assert len(copied.notes) == 2
    assert "subtitle stream 3 (subrip)" in copied.notes[0]
    assert "attachment stream 4" in copied.notes[1]
    with av.open(str(tmp_path / "b.mp4")) as output:
        assert output.metadata["title"] == "Gate, wet"
        assert [c["metadata"]["title"] for c in output.chapters()] == ["Dry", "Wet"]
        assert [track.language for track in output.streams.audio] == ["eng", "deu"]
    before = [data for _, _, data in packets(source, "audio", 1)]
    assert [data for _, _, data in packets(tmp_path / "b.mp4", "audio", 1)] == before


def test_an_mp4_with_chapters_comes_back_without_complaint(tmp_path):
    null_copy(full_mkv(tmp_path / "a.mkv"), tmp_path / "b.mp4")
    copied = null_copy(tmp_path / "b.mp4", tmp_path / "c.mp4")
    assert copied.notes == []
    with av.open(str(tmp_path / "c.mp4")) as output:
        assert [c["metadata"]["title"] for c in output.chapters()] == ["Dry", "Wet"]


def test_a_container_without_chapters_says_so(tmp_path):
    notes = null_copy(full_mkv(tmp_path / "a.mkv"), tmp_path / "b.avi").notes
    assert "AVI holds no chapters; they are left out." in notes


def test_a_sample_copies_only_its_stretch_of_sound(tmp_path):
    source = make_clip(tmp_path / "a.mkv", frames=50, audio_tracks=1)
    null_copy(source, tmp_path / "b.mkv", sample_end=0.5)
    before = packets(source, "audio")
    assert packets(tmp_path / "b.mkv", "audio") == [p for p in before if p[1] < Fraction(1, 2)]


def test_a_cover_picture_is_copied(tmp_path):
    clip = make_clip(tmp_path / "plain.mp4", frames=5)
    cover = make_clip(tmp_path / "c.mkv", frames=1, encoder="mjpeg", pixel_format="yuvj420p")
    with (
        av.open(str(clip)) as one,
        av.open(str(cover)) as two,
        av.open(str(tmp_path / "a.mp4"), "w") as output,
    ):
        video = output.add_stream_from_template(one.streams.video[0], opaque=True)
        still = output.add_stream_from_template(two.streams.video[0], opaque=True)
        still.disposition = av.stream.Disposition.attached_pic
        for copy, source in ((still, two), (video, one)):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    output.mux(packet)
    copied = null_copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert copied.notes == []
    with av.open(str(tmp_path / "b.mp4")) as output:
        covers = [
            s for s in output.streams.video if s.disposition & av.stream.Disposition.attached_pic
        ]
        index = covers[0].index
        assert len(covers) == 1
    assert _first_packet(tmp_path / "b.mp4", index) == packets(cover, "video")[0][2]


def _first_packet(path, index):
    with av.open(str(path)) as container:
        return bytes(next(container.demux(container.streams[index])))


def test_damaged_sound_does_not_break_the_picture(tmp_path):
    source = make_clip(tmp_path / "a.ts", frames=60, audio_tracks=1)
    data = bytearray(source.read_bytes())
    for start in range(len(data) // 3 // 188 * 188, len(data) // 2, 188 * 3):
        if int.from_bytes(data[start + 1 : start + 3], "big") & 0x1FFF == 0x101:  # the sound's
            data[start + 8 : start + 188] = bytes(180)
    source.write_bytes(data)
    copied = null_copy(source, tmp_path / "b.mkv")
    assert copied.frames == 60
    assert len(packets(tmp_path / "b.mkv", "video")) == 60


def test_without_a_source_there_is_only_the_picture(tmp_path):
    from streamderain.readers.video import VideoFileReader
    from streamderain.writers.video import VideoFileWriter

    source = make_clip(tmp_path / "a.mp4", frames=3, audio_tracks=1)
    with VideoFileReader(source) as reader:
        writer = VideoFileWriter(tmp_path / "b.mp4", reader.format)
        for frame in reader:
            writer.write(frame)
        writer.finish()
    with av.open(str(tmp_path / "b.mp4")) as output:
        assert [stream.type for stream in output.streams] == ["video"]


def test_an_error_of_the_target_removes_it(tmp_path):
    source = make_clip(tmp_path / "a.mkv", frames=3, audio_tracks=1)
    target = tmp_path / "b.mkv"
    target.mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        null_copy(source, target, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mkv"]


def test_a_piece_of_a_long_recording_does_not_read_the_rest(tmp_path, monkeypatch):
    source = make_clip(tmp_path / "a.mp4", frames=150, audio_tracks=1)
    null_copy(source, tmp_path / "whole.mp4", sample_end=1.0)
    monkeypatch.setattr(sidecar, "INTERLEAVED_S", Fraction(1, 2))
    seen = []
    read = sidecar.SidecarStreams._read

    def counted(self, streams):
        for packet in read(self, streams):
            seen.append(float(packet.pts * packet.time_base))
            yield packet

    monkeypatch.setattr(sidecar.SidecarStreams, "_read", counted)
    null_copy(source, tmp_path / "piece.mp4", sample_end=1.0)
    assert max(seen) < 2
    copied = [packets(tmp_path / f"{name}.mp4", "audio") for name in ("piece", "whole")]
    assert copied[0] == copied[1] != []
