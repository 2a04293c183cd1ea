"""``open_clean``: a file, a camera or the test scene as an iterator of frames without rain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from streamderain.api.derainer import Derainer
from streamderain.api.feeds import CameraFeed, RecordingFeed
from streamderain.api.video import CleanVideo
from streamderain.config import CameraConfig
from streamderain.defaults import LIVE_MODEL, VIDEO_MODEL
from streamderain.errors import UsageError
from streamderain.inference.gate import GateConfig
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.live.opening import open_source
from streamderain.models import NULL
from streamderain.readers.base import Reader
from streamderain.readers.scene import SceneReader
from streamderain.readers.video import VideoFileReader
from streamderain.source import Source, SourceKind, parse_source

__all__ = ["open_clean"]

SCENE_S = 24 * 3600.0
"""Length of the test scene."""


def open_clean(
    source: str | Path | int,
    *,
    model: str | Path | None = None,
    derainer: Derainer | None = None,
    live: bool | None = None,
    always: bool = False,
    gate: GateConfig | None = None,
    lookahead: int = MAX_LOOKAHEAD,
    keep_original: bool = False,
    timeout: float | None = None,
    staleness: float | None = 0.5,
    user: str | None = None,
    password: str | None = None,
    transport: Literal["tcp", "udp"] = "tcp",
) -> CleanVideo:
    """Open a source whose frames come out without rain.

    Files give every frame, in order. Cameras give the newest frame each time one is asked for,
    whatever came between; they may be down at the start, and are connected to anew whenever they
    are lost, for ever. Frames on which it doesn't rain come out bit for bit as they went in.

    Example::

        with open_clean("gate.mp4") as frames:
            for frame in frames:
                detect(frame.pixels)        # uint8 H×W×3, RGB
                print(frame.index, frame.derained, frame.bypass, frame.rain)

    Args:
        source: a file; an address (``rtsp://``, ``http://`` and so on); a webcam, ``/dev/video0``
            or its number; or the test scene, ``scene:heavy?size=640x360&fps=25``.
        model: a shipped name or a file; ``video-m`` for recordings and ``video-s`` for cameras
            unless told.
        derainer: one that is open, to share its network; it stays open. Instead of ``model``.
        live: treat it as a camera, played at its own speed, or as a recording. Addresses, webcams
            and the test scene are cameras unless told, files are not.
        always: derain every frame, whether it rains or not.
        gate: when it rains; None for the usual thresholds.
        lookahead: of recordings with a video network, frames after each that help to clean it,
            0 to 4.
        keep_original: keep what went in as ``Frame.original``.
        timeout: of cameras, seconds without a frame after which that is an error; None waits for
            ever.
        staleness: of cameras, seconds that the network may take for a frame; where it takes
            longer, frames come out as they went in (``bypass="overload"``). None has them all
            derained, however late.
        user, password: of an address; better here than in it, where @ and / have to be escaped.
        transport: how RTSP carries the pictures.

    Raises:
        UsageError: no such kind of source, or arguments that don't go together.
        InputError: a file is missing, unreadable, or no video.
        ModelError: no such model, or nothing is installed that runs it.
    """
    if not 0 <= lookahead <= MAX_LOOKAHEAD:
        raise UsageError(f"the lookahead is 0 to {MAX_LOOKAHEAD} frames, not {lookahead}")
    if model is not None and derainer is not None:
        raise UsageError("open_clean takes a model or a Derainer, not both")
    if isinstance(source, int):
        source = f"/dev/video{source}"
    text = str(source)
    parsed = parse_source(text, user, password)
    if live is None:
        live = parsed.kind is not SourceKind.FILE
    if not live and parsed.kind not in (SourceKind.FILE, SourceKind.SCENE):
        raise UsageError(f"{parsed.shown} is a camera and can't be read as a recording")
    # Before a network is loaded for nothing.
    reader = None if live else _open_recording(parsed, 0.0)
    try:
        own = derainer or Derainer(model or (LIVE_MODEL if live else VIDEO_MODEL))
    except BaseException:
        if reader is not None:
            reader.close()
        raise
    settings = None if always else gate or GateConfig()
    if reader is None:
        config = CameraConfig(
            source=text, user=user, password=password, transport=transport, loop=False
        )
        feed = CameraFeed(
            "camera", parsed.shown, lambda: open_source(config, parsed), gate=settings,
            remembers=own.remembers, planes=own.takes_planes,
            bypass=NULL if own.model == NULL else None,
            ends=parsed.kind is SourceKind.FILE, timeout_s=config.timeout, stall_s=config.stall,
            max_lag_s=staleness,
        )  # fmt: skip
        return CleanVideo(
            feed, own, owns=derainer is None, keep_original=keep_original, timeout=timeout,
            staleness=staleness,
        )  # fmt: skip

    def play(reader: Reader) -> RecordingFeed:
        batch = own.batch_for(reader.format.height, reader.format.width)
        return RecordingFeed(
            reader, gate=settings, lookahead=lookahead if own.remembers else None, batch=batch,
            planes=own.takes_planes,
        )  # fmt: skip

    reopen: Callable[[float], RecordingFeed] | None = None
    if parsed.kind is SourceKind.FILE:

        def reopen(start: float) -> RecordingFeed:
            return play(_open_recording(parsed, start))

    return CleanVideo(
        play(reader), own, owns=derainer is None, keep_original=keep_original, reopen=reopen
    )


def _open_recording(source: Source, start: float) -> Reader:
    """Open what is read from its beginning, so many seconds after its start."""
    if source.kind is SourceKind.FILE:
        return VideoFileReader(Path(source.address), start=start, planes=True)
    scene = source.scene
    assert scene is not None
    height, width = scene.size
    return SceneReader(
        height=height, width=width, fps=max(1, round(scene.fps)), seconds=SCENE_S, rain=scene.rain
    )
