"""GStreamer's RTSP server that takes streams and shows them: ``/usr/bin/python3 rtsp_record.py``.

It runs under the system's Python, which has GStreamer's bindings. The first argument is JSON::

    {"port": 0, "cameras": ["gate"], "user": "...", "password": "...", "method": "digest"}

``rtsp://127.0.0.1:PORT/gate`` takes a stream (RECORD), ``.../gate/view`` shows what came (PLAY), as
it came. It prints a line of JSON, the port, when it is ready, and ends with its standard input.
"""

import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

H264 = "video/x-h264,stream-format=byte-stream,alignment=au"


class Taking(GstRtspServer.RTSPMediaFactory):
    """Takes one stream and hands each picture to whoever looks."""

    def __init__(self):
        super().__init__()
        self.sources = []
        self.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
        self.set_latency(0)

    def do_create_element(self, url):
        element = Gst.parse_launch(
            f"( rtph264depay name=depay0 ! h264parse config-interval=-1 ! {H264}"
            " ! appsink name=sink emit-signals=true sync=false )"
        )
        element.get_by_name("sink").connect("new-sample", self.show)
        return element

    def show(self, sink):
        buffer = sink.emit("pull-sample").get_buffer()
        for source in self.sources:
            copy = buffer.copy_deep()
            copy.pts = copy.dts = Gst.CLOCK_TIME_NONE
            source.emit("push-buffer", copy)
        return Gst.FlowReturn.OK


class Showing(GstRtspServer.RTSPMediaFactory):
    """Shows what another takes, to each viewer alike."""

    def __init__(self, taking):
        super().__init__()
        self.taking = taking
        self.set_shared(True)
        self.set_latency(0)

    def do_create_element(self, url):
        element = Gst.parse_launch(
            f"( appsrc name=src is-live=true do-timestamp=true format=time caps={H264}"
            " ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
        )
        self.taking.sources.append(element.get_by_name("src"))
        return element


def protect(server, factory, setup):
    """Ask who publishes for user and password."""
    role, auth = "publisher", GstRtspServer.RTSPAuth()
    permissions = GstRtspServer.RTSPPermissions()
    for name in (
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS,
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
    ):
        permissions.add_permission_for_role(role, name, True)
    factory.set_permissions(permissions)
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
    user, password = setup["user"], setup["password"]
    if setup.get("method") == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    server.set_auth(auth)


def main():
    setup = json.loads(sys.argv[1])
    Gst.init(None)
    loop = GLib.MainLoop()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.get_thread_pool().set_max_threads(-1)
    server.set_service(str(setup.get("port", 0)))
    for name in setup["cameras"]:
        taking = Taking()
        if setup.get("user"):
            protect(server, taking, setup)
        server.get_mount_points().add_factory(f"/{name}", taking)
        server.get_mount_points().add_factory(f"/{name}/view", Showing(taking))
    server.attach(None)
    print(json.dumps({"port": server.get_bound_port()}), flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
