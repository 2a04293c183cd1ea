"""GStreamer's RTSP server with moving pictures, for the tests: ``/usr/bin/python3 rtsp_server.py``.

It runs under the system's Python, which has GStreamer's bindings. The first argument is JSON::

    {"gate": {"codec": "h264", "width": 320, "height": 240, "fps": 25, "port": 0,
              "pattern": "ball", "bitrate": 600,
              "user": "...", "password": "...", "audio": false}}

Each camera is a server of its own, at ``rtsp://127.0.0.1:PORT/gate``. It prints a line of JSON,
the ports by name, when it is ready. Then it takes commands as lines of JSON on standard input,
``{"camera": "gate", "size": [640, 480]}``, and ends with that input.
"""

import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} bitrate={bitrate}"
    " ! video/x-h264,profile=constrained-baseline ! h264parse ! rtph264pay config-interval=-1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} bitrate={bitrate}"
    " ! h265parse ! rtph265pay config-interval=-1",
    "mjpeg": "jpegenc ! rtpjpegpay",
}


class Factory(GstRtspServer.RTSPMediaFactory):
    """One camera; every viewer sees the same stream."""

    def __init__(self, mount):
        super().__init__()
        self.mount = mount
        self.set_shared(True)
        self.set_latency(0)

    def do_create_element(self, url):
        mount = self.mount
        encoder = ENCODERS[mount.get("codec", "h264")].format(
            fps=mount["fps"], bitrate=mount.get("bitrate", 600)
        )
        launch = (
            f"videotestsrc is-live=true pattern={mount.get('pattern', 'ball')}"
            f" ! capsfilter name=size caps={caps(mount)} ! videoconvert ! video/x-raw,format=I420"
            f" ! {encoder} name=pay0 pt=96"
        )
        if mount.get("audio"):
            launch += " audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=97"
        self.element = Gst.parse_launch(launch)
        return self.element

    def resize(self, width, height):
        self.mount |= {"width": width, "height": height}
        self.element.get_by_name("size").set_property(
            "caps", Gst.Caps.from_string(caps(self.mount))
        )


def caps(mount):
    return f"video/x-raw,width={mount['width']},height={mount['height']},framerate={mount['fps']}/1"


def protect(server, factory):
    """Ask for user and password, by digest as cameras do."""
    role, mount = "viewer", factory.mount
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    permissions = GstRtspServer.RTSPPermissions()
    for name in (
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS,
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
    ):
        permissions.add_permission_for_role(role, name, True)
    factory.set_permissions(permissions)
    viewer = GstRtspServer.RTSPToken()
    viewer.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
    auth.add_digest(mount["user"], mount["password"], viewer)
    server.set_auth(auth)


def obey(factories, loop):
    for line in sys.stdin:
        command = json.loads(line)
        factory = factories[command["camera"]]
        GLib.idle_add(factory.resize, *command["size"])
    loop.quit()


def serve(name, factory, port):
    """Start the camera's own server and return it with its port."""
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(port))
    server.get_mount_points().add_factory(f"/{name}", factory)
    if factory.mount.get("user"):
        protect(server, factory)
    server.attach(None)
    return server


def main():
    cameras = json.loads(sys.argv[1])
    Gst.init(None)
    loop = GLib.MainLoop()
    factories = {name: Factory(camera) for name, camera in cameras.items()}
    servers = {
        name: serve(name, factory, factory.mount.get("port", 0))
        for name, factory in factories.items()
    }
    ports = {name: server.get_bound_port() for name, server in servers.items()}
    print(json.dumps(ports), flush=True)
    threading.Thread(target=obey, args=(factories, loop), daemon=True).start()
    loop.run()


main()
