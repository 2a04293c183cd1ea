"""Cameras over HTTP, from a server in the process; and addresses where nothing is."""

import functools
import http.server
import socket
import threading

import av
import pytest

from streamderain.frame import pixels_of, size_of
from streamderain.metrics import luma, psnr
from streamderain.readers.live import SourceLostError, SourceRefusedError, SourceWrongError
from streamderain.readers.network import NetworkSource
from tests.clips import make_clip, picture


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        wanted = self.server.wanted
        if wanted and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *text):
        pass


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as found:
        found.wanted = None
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def url(server, name, user=""):
    return f"http://{user}127.0.0.1:{server.server_address[1]}/{name}"


def source(address, **settings):
    shown = address.rpartition("@")[2]
    return NetworkSource(address, shown=shown, **{"timeout": 3.0, "stall": 2.0, **settings})


def test_hls_is_played_segment_after_segment(server, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=60, options={"g": "10"})
    with (
        av.open(str(clip)) as given,
        av.open(
            str(tmp_path / "live.m3u8"), "w", format="hls",
            options={"hls_time": "0.4", "hls_list_size": "0"},
        ) as playlist,
    ):  # fmt: skip
        stream = playlist.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                playlist.mux(packet)
    assert len(list(tmp_path.glob("live*.ts"))) > 3
    with source(url(server, "live.m3u8")) as camera:
        got = list(camera)
    assert len(got) == 60
    assert [each.part for each in got] == [0] * 60
    for index in (0, 30, 59):
        assert psnr(luma(pixels_of(got[index].picture())), luma(picture(48, 64, index))) > 30


def test_a_plain_stream_over_http(server, tmp_path):
    make_clip(tmp_path / "clip.ts", frames=30)
    with source(url(server, "clip.ts")) as camera:
        got = list(camera)
    assert len(got) == 30
    assert all(each.taken.source == "pts" for each in got)
    times = [each.taken.ns for each in got]
    assert times == sorted(set(times))


def test_user_and_password_over_http(server, tmp_path):
    server.wanted = "Basic dmlld2VyOnBAc3M="  # viewer:p@ss
    make_clip(tmp_path / "clip.ts")
    with source(url(server, "clip.ts", "viewer:p%40ss@")) as camera:
        assert len(list(camera)) == 12
    with pytest.raises(SourceRefusedError, match="refuses the user and password") as caught:
        source(url(server, "clip.ts", "viewer:wrong@"))
    assert "wrong@" not in str(caught.value)


def test_a_picture_size_that_changes_is_a_new_part(server, tmp_path):
    first = make_clip(tmp_path / "a.ts", frames=10)
    second = make_clip(tmp_path / "b.ts", frames=10, height=96, width=128)
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + second.read_bytes())
    with source(url(server, "both.ts")) as camera:
        sizes = [(each.part, size_of(each.picture())) for each in camera]
    assert sizes[0] == (0, (48, 64))
    assert sizes[-1] == (1, (96, 128))
    assert len({size for _, size in sizes}) == 2


@pytest.mark.parametrize(
    ("name", "error"), [("none.ts", SourceWrongError), ("text.ts", SourceLostError)]
)
def test_what_is_no_video_is_named(server, tmp_path, name, error):
    (tmp_path / "text.ts").write_text("this is no video" * 100)
    with pytest.raises(error, match=name):
        source(url(server, name))


def test_a_sound_without_pictures_is_named(server, tmp_path):
    with av.open(str(tmp_path / "sound.mp3"), "w") as output:
        stream = output.add_stream("mp3", rate=44100)
        frame = av.AudioFrame(format="s16p", layout="stereo", samples=1152)
        frame.rate = 44100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(SourceWrongError, match="no video"):
        source(url(server, "sound.mp3"))


def test_nobody_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SourceLostError, match="can't be reached: Connection refused"):
        source(f"rtsp://127.0.0.1:{port}/x")


def test_somebody_there_who_never_answers():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(SourceLostError, match=r"in time|doesn't answer"):
            source(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x", timeout=0.5)


def test_a_webcam_that_is_not_plugged_in():
    with pytest.raises(SourceLostError, match="plugged in"):
        source("/dev/video99", webcam=True)


def test_a_device_that_does_not_decode_falls_back_to_the_cpu(server, tmp_path):
    make_clip(tmp_path / "clip.ts")
    with source(url(server, "clip.ts"), hwaccel="cuda") as camera:
        assert len(list(camera)) == 12
        assert camera.notes in ([], ["The device cuda can't decode here; the CPU does it."])
