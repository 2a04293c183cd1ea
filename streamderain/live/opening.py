"""What a camera's configuration becomes: its source, its queues, its writers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamderain.config import CameraConfig, Output, RecordOutput, RtspOutput
from streamderain.frame import Frame
from streamderain.live.lane import LaneSettings
from streamderain.live.publishers import Publishers
from streamderain.live.supervision import Backoff
from streamderain.readers.live import LiveSource
from streamderain.readers.network import NetworkSource
from streamderain.readers.playing import play_file, play_scene
from streamderain.source import Source, SourceKind
from streamderain.writers.recording import SegmentRecorder
from streamderain.writers.rtsp import RtspWriter
from streamderain.writers.rtsp_encoder import EncoderSettings
from streamderain.writers.zeromq import CameraPublisher

__all__ = ["LiveWriter", "Opened", "open_output", "open_source", "settings_of"]


class LiveWriter(Protocol):
    """Takes a camera's frames as they leave."""

    def write(self, frame: Frame) -> None:
        """Write a frame.

        Raises:
            LeftOutError: it was left out for a reason that was told already.
            OutputError: it could not be written.
        """
        ...


@dataclass(frozen=True)
class Opened:
    """An output that is there.

    Attributes:
        reason: what a frame is dropped for that waits for it too long, and what it is called.
        writer: takes the frames.
        close: ends it; called by the thread that writes, once.
        give_up: lets go of a frame that is stuck, from another thread, where that can be done.
        teller: tells subscribers what the camera does, where there are such.
        heartbeat: how often at least, in seconds.
        secrets: texts of it that must not be seen anywhere.
    """

    reason: str
    writer: LiveWriter
    close: Callable[[], None]
    give_up: Callable[[], None] = lambda: None
    teller: CameraPublisher | None = None
    heartbeat: float = 0.0
    secrets: tuple[str, ...] = ()


def open_source(camera: CameraConfig, source: Source) -> LiveSource:
    """Connect to a camera's source.

    Raises:
        SourceLostError, SourceRefusedError, SourceWrongError: it can't be had.
    """
    if source.kind is SourceKind.FILE:
        return play_file(Path(source.address), pace=camera.pace)
    if source.kind is SourceKind.SCENE:
        assert source.scene is not None
        return play_scene(
            rain=source.scene.rain, size=source.scene.size, fps=source.scene.fps, pace=camera.pace
        )
    return NetworkSource(
        source.address, shown=source.shown, webcam=source.kind is SourceKind.WEBCAM,
        transport=camera.transport, timeout=camera.timeout, stall=camera.stall,
        hwaccel=None if camera.hwaccel == "none" else camera.hwaccel,
    )  # fmt: skip


def open_output(
    name: str, output: Output, camera: CameraConfig, run: str, publishers: Publishers
) -> Opened:
    """Open one of a camera's outputs.

    Args:
        name: the camera's id.
        output: what is asked for.
        camera: effective configuration.
        run: id of this run of the camera.
        publishers: lends the sockets.

    Raises:
        OutputError: an address is in use, or a folder can't be made.
        InputError: a key can't be read.
    """
    if isinstance(output, RecordOutput):
        recorder = SegmentRecorder(
            output.folder, name, segment_s=output.segment, container=output.container,
            codec=output.codec, crf=output.crf, preset=output.preset,
        )  # fmt: skip
        return Opened("record", recorder, recorder.close)
    if isinstance(output, RtspOutput):
        writer = RtspWriter(
            output.address, name, Backoff(camera.backoff, camera.backoff_most),
            user=output.user, password=output.password, transport=output.transport,
            settings=EncoderSettings(
                crf=output.crf, bitrate=output.bitrate, preset=output.preset, gop_s=output.gop,
                encoder=output.encoder,
            ),
            timeout=output.timeout,
        )  # fmt: skip
        return Opened("rtsp", writer, writer.close, give_up=writer.close, secrets=writer.secrets)
    publisher = CameraPublisher(
        publishers.lend(output, name), name, run, codec=output.payload, pixfmt=output.pixfmt,
        quality=output.quality,
    )  # fmt: skip
    return Opened("publish", publisher, lambda: None, teller=publisher, heartbeat=output.heartbeat)


def settings_of(camera: CameraConfig) -> LaneSettings:
    """Return what happens to a camera's frames when the network is busy."""
    policy = camera.effective_policy
    return LaneSettings(
        policy=policy, capacity=camera.queue, overload=camera.overload,
        staleness_s=None if policy == "block" else camera.staleness,
    )  # fmt: skip
