"""RTSP server of one recording, by GStreamer, for `live_streams.py`; runs under Debian's own Python.

/usr/bin/python3 benchmarks/rtsp_server.py RECORDING PORT pcm|aac|opus
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PAYLOADS = {
    "pcm": "audio/x-raw,format=S16BE ! rtpL16pay name=pay0 pt=96",
    "aac": "audioresample ! avenc_aac bitrate=48000 ! aacparse ! rtpmp4gpay name=pay0 pt=96",
    "opus": "audioresample ! audio/x-raw,rate=48000 ! opusenc bitrate=24000 ! rtpopuspay name=pay0 pt=96",
}


def main() -> None:
    recording, port, codec = sys.argv[1:]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( filesrc location={recording} ! decodebin ! audioconvert ! {PAYLOADS[codec]} )")
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
