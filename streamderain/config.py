"""The configuration of ``streamderain run``, as models; ``configs/cameras.yaml`` explains it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from streamderain.arguments import parse_bitrate, parse_size
from streamderain.clusterconfig import ClusterConfig
from streamderain.configtypes import Curve, Seconds, Strict, TransportAddress
from streamderain.defaults import LIVE_MODEL
from streamderain.errors import UsageError
from streamderain.inference.gate import GateConfig
from streamderain.inference.precision import Precision
from streamderain.serviceconfig import ServiceConfig
from streamderain.source import Source, SourceKind, parse_source

__all__ = [
    "CameraConfig",
    "CameraDefaults",
    "Curve",
    "Output",
    "RecordOutput",
    "RtspOutput",
    "RunConfig",
    "ZeroMqOutput",
]

CAMERA_ID = r"^[A-Za-z0-9._-]{1,64}$"


def _size(value: object) -> object:
    if isinstance(value, str):
        try:
            height, width = parse_size(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return (width, height)
    return value


def _bitrate(value: object) -> object:
    if isinstance(value, str):
        try:
            return parse_bitrate(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
    return value


def _push_address(value: str) -> str:
    if value.partition("://")[0] not in ("rtsp", "rtsps"):
        raise ValueError("an address to push to is rtsp://HOST:PORT/{camera}, or rtsps://")
    try:
        parse_source(value.replace("{camera}", "camera"))
    except UsageError as error:
        raise ValueError(str(error)) from None
    return value


PictureSize = Annotated[
    tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]],
    BeforeValidator(_size),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+x[0-9]+$"}),
]
CameraId = Annotated[str, StringConstraints(pattern=CAMERA_ID)]


class ZeroMqOutput(Strict):
    """Publish frames over ZeroMQ; see docs/wire.md."""

    type: Literal["zeromq"] = "zeromq"
    address: TransportAddress = "tcp://127.0.0.1:5555"
    """Where subscribers connect: tcp://HOST:PORT, or ipc:///PATH on this machine."""
    pattern: Literal["pub", "push"] = "pub"
    """pub gives every subscriber every frame, push gives each frame to one worker."""
    codec: Literal["auto", "raw", "jpeg", "png"] = "auto"
    """Of the pictures; auto is jpeg over tcp and raw over ipc."""
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    """Of JPEG."""
    pixfmt: Literal["rgb24", "bgr24"] = "rgb24"
    """Order of the colours in raw pictures."""
    high_water_mark: Annotated[int, Field(ge=1, le=1000)] = 4
    """Messages that may wait for one subscriber before the newest are lost to it."""
    heartbeat: Seconds = 1.0
    """How often each camera says that it is there."""
    queue: Annotated[int, Field(ge=1, le=64)] = 4
    """Frames of one camera that may wait to be encoded."""
    curve: Curve | None = None
    """Encryption; without it anyone who reaches the address may read."""

    @property
    def payload(self) -> Literal["raw", "jpeg", "png"]:
        """The codec, decided."""
        if self.codec != "auto":
            return self.codec
        return "raw" if self.address.startswith("ipc:") else "jpeg"


class RecordOutput(Strict):
    """Record the clean video in segments that are whole and playable even after a crash."""

    type: Literal["record"] = "record"
    folder: Path
    """Where the segments go; {camera} in it is replaced by the camera's id."""
    segment: Seconds = 600.0
    """Length of a segment; the next begins at the first frame after it."""
    container: Literal["mkv", "mp4"] = "mp4"
    """Of the files; mp4 is fragmented."""
    codec: Literal["h264", "hevc"] = "h264"
    """Of the video."""
    crf: Annotated[int, Field(ge=0, le=51)] = 23
    """Quality of the encoder, lower is better."""
    preset: str = "veryfast"
    """Speed of the encoder, by its own names."""
    queue: Annotated[int, Field(ge=1, le=64)] = 32
    """Frames that may wait to be encoded."""


class RtspOutput(Strict):
    """Push the clean video to an RTSP server, where recorders take it like any camera."""

    type: Literal["rtsp"] = "rtsp"
    address: Annotated[str, AfterValidator(_push_address)] = "rtsp://127.0.0.1:8554/{camera}"
    """Of the server and the stream; {camera} in it is replaced by the camera's id."""
    user: str | None = None
    """Who may publish; better here than in the address, where @ and / have to be escaped."""
    password: str | None = None
    """Belongs into the environment: password: ${PUBLISH_PASSWORD}"""
    transport: Literal["tcp", "udp"] = "tcp"
    """How the pictures go to the server."""
    codec: Literal["h264"] = "h264"
    """Of the video."""
    encoder: Literal["auto", "cpu", "nvenc"] = "auto"
    """What encodes: an NVIDIA GPU (nvenc), the CPU, or auto: the GPU where it can."""
    crf: Annotated[int, Field(ge=0, le=51)] = 23
    """Quality of the encoder, lower is better."""
    bitrate: Annotated[int, BeforeValidator(_bitrate), Field(ge=1000)] | None = None
    """Bits a second instead of a constant quality, e.g. 2M."""
    preset: Literal[
        "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower"
    ] = "veryfast"
    """Speed of the encoder on the CPU."""
    gop: Seconds = 1.0
    """Between two key frames, at which viewers can begin."""
    timeout: Seconds = 10.0
    """For connecting, and for the server to take a frame."""
    queue: Annotated[int, Field(ge=1, le=64)] = 4
    """Frames that may wait to be sent."""

    def target(self, camera: str) -> Source:
        """Where a camera's stream goes."""
        return parse_source(self.address.replace("{camera}", camera), self.user, self.password)


Output = Annotated[ZeroMqOutput | RecordOutput | RtspOutput, Field(discriminator="type")]


class Gate(Strict):
    """When frames go to the network at all: what shows no rain is published as it came."""

    always: bool = False
    """Derain every frame, whether it rains or not."""
    wet: Annotated[float, Field(ge=0, le=1)] = GateConfig.wet
    """Rain score from which on it rains, at once."""
    dry: Annotated[float, Field(ge=0, le=1)] = GateConfig.dry
    """Score below which it doesn't, once it has stayed there for hold frames."""
    hold: Annotated[int, Field(ge=1, le=100_000)] = GateConfig.hold
    """Frames; a pause between showers is no end."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.dry > self.wet:
            raise ValueError("dry must not be above wet")
        return self

    @property
    def settings(self) -> GateConfig | None:
        """What the gate goes by; None where all frames are derained."""
        return None if self.always else GateConfig(self.wet, self.dry, self.hold)


class CameraDefaults(Strict):
    """What every camera does unless it says otherwise."""

    transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP carries the pictures; udp loses some on a bad network, tcp none."""
    user: str | None = None
    """For RTSP and HTTP; better here than in the address, where @ and / have to be escaped."""
    password: str | None = None
    """Belongs into the environment: password: ${GATE_PASSWORD}"""
    hwaccel: Literal["none", "cuda", "vaapi", "qsv", "videotoolbox", "d3d11va"] = "none"
    """Decode on such a device where that works, else on the CPU."""
    timeout: Seconds = 10.0
    """For connecting."""
    stall: Seconds = 5.0
    """So long without a frame, and the camera is taken for stuck and connected to anew."""
    backoff: Seconds = 1.0
    """Before the first try to reconnect; doubled at each further one."""
    backoff_most: Seconds = 30.0
    """At most so long between two tries, for ever."""
    max_fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frames above this rate are left out (dropped as max_fps)."""
    region: tuple[int, int, int, int] | None = None
    """Only this part of the picture: left, top, width and height in pixels."""
    resize: PictureSize | None = None
    """Scale the picture (or the region) to WIDTHxHEIGHT, without keeping its proportions."""
    policy: Literal["latest", "drop-oldest", "block"] | None = None
    """What waits for the network when it is busy: only the newest frame (latest, the default for
    cameras), up to queue frames (drop-oldest), or the reader itself (block, for files)."""
    queue: Annotated[int, Field(ge=1, le=64)] = 4
    """Frames that may wait for the network."""
    staleness: Seconds = 0.5
    """So long after its arrival a frame leaves at the latest, derained or not."""
    overload: Literal["pass", "drop"] = "pass"
    """What can't be derained in time leaves as it came, or is dropped."""
    gate: Gate = Gate()
    """When frames go to the network at all."""
    loop: bool = True
    """Begin a file anew at its end."""
    pace: bool = True
    """Play a file at its own speed; false plays it as fast as it can be cleaned."""
    outputs: list[Output] = Field(default=[ZeroMqOutput()], min_length=1)
    """Where the frames go."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.region is not None and (min(self.region[:2]) < 0 or min(self.region[2:]) < 16):
            raise ValueError("region is left, top, width and height, at least 16 pixels each side")
        if self.backoff_most < self.backoff:
            raise ValueError("backoff_most must not be below backoff")
        return self


class CameraConfig(CameraDefaults):
    """One camera."""

    source: Annotated[str, StringConstraints(min_length=1)]
    """rtsp://, rtsps://, http(s):// (MJPEG, HLS), a file, /dev/video0, or scene:heavy."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        try:
            parse_source(self.source)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def parsed(self) -> Source:
        """What kind of source it is."""
        return parse_source(self.source, self.user, self.password)

    @property
    def effective_policy(self) -> Literal["latest", "drop-oldest", "block"]:
        """The policy, decided: ``block`` for files, ``latest`` for what can't wait."""
        if self.policy is not None:
            return self.policy
        return "block" if self.parsed.kind is SourceKind.FILE else "latest"


class RunConfig(Strict):
    """Everything that ``streamderain run`` needs."""

    model: str = LIVE_MODEL
    """Name of a shipped network, or an .onnx file."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs."""
    backend: Literal["auto", "onnx", "openvino", "tensorrt", "torch"] = "auto"
    """What runs it."""
    precision: Precision = "auto"
    """What a CPU computes in: ``int8`` where there is such a network and it is faster."""
    batch: Annotated[int, Field(ge=1, le=64)] | None = None
    """Frames a run of the network; chosen by device and frame size unless given."""
    batch_wait: Seconds = 0.01
    """How long a frame may wait for those of other cameras to fill its batch."""
    stats: Seconds = 10.0
    """How often a line for each camera is logged."""
    service: ServiceConfig | None = None
    """A page, REST and metrics over HTTP; null for none."""
    cluster: ClusterConfig = ClusterConfig()
    """How ``run --ray`` spreads the cameras over a cluster; else it isn't used."""
    defaults: CameraDefaults = CameraDefaults()
    """For all cameras."""
    cameras: Annotated[dict[CameraId, CameraConfig], Field(min_length=1)]
    """By id: letters, digits, dots, dashes and underscores, up to 64 of them."""

    def camera(self, name: str) -> CameraConfig:
        """Return a camera with what it doesn't say itself taken from ``defaults``."""
        own = self.cameras[name]
        inherited = {
            field: getattr(self.defaults, field)
            for field in CameraDefaults.model_fields
            if field not in own.model_fields_set
        }
        return own.model_copy(update=inherited)

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        sockets: dict[str, ZeroMqOutput] = {}
        streams: dict[str, str] = {}
        for name in self.cameras:
            camera = self.camera(name)
            if camera.backoff_most < camera.backoff:
                raise ValueError(f"camera {name}: backoff_most must not be below backoff")
            for output in camera.outputs:
                if isinstance(output, RtspOutput):
                    shown = output.target(name).shown
                    if (other_camera := streams.setdefault(shown, name)) != name:
                        raise ValueError(
                            f"cameras {other_camera} and {name} both push to {shown}; put "
                            "{camera} into the address"
                        )
                if not isinstance(output, ZeroMqOutput):
                    continue
                other = sockets.setdefault(output.address, output)
                if other != output:
                    raise ValueError(
                        f"the outputs at {output.address} differ; cameras that share an address "
                        "share all its settings"
                    )
        return self
