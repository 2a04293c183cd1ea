"""What REST takes and gives, as models: the OpenAPI document is made from these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from streamderain.config import CAMERA_ID
from streamderain.live.reports import CameraReport, Mode, ModelReport, Moment

__all__ = [
    "CameraDetail", "CameraList", "CameraView", "ConfigView", "ErrorView", "Health",
    "LatencyView", "LiveReport", "ModelRequest", "ModelView", "MomentView", "OutputView",
    "SessionRequest", "SessionView", "SnapshotQuery", "SteerRequest", "StreamQuery", "View",
    "WatchRequest", "camera_detail", "camera_view", "model_view",
]  # fmt: skip

View = Literal["before", "after", "both"]
"""The camera's picture, the derained one, or both: before left, after right."""

Width = Annotated[int, Field(ge=16, le=7680)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class _Given(BaseModel):
    """What a client gives: keys that aren't known are refused, so that no typing error is lost."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ErrorView(_Shown):
    """Why a request failed."""

    error: str
    """One sentence, or one a line."""


class OutputView(_Shown):
    """What became of a camera's frames at one of its outputs."""

    written: Annotated[int, Field(ge=0)]
    waiting: Annotated[int, Field(ge=0)]
    dropped: dict[str, int]
    """Frames left out in front of it, by reason; with those of the camera they add up."""


class LatencyView(_Shown):
    """How long a stage took since the camera was started, in milliseconds."""

    p50: float | None
    p95: float | None


class MomentView(_Shown):
    """A second of a camera."""

    t: float
    """When it ended, seconds since 1970."""
    fps: float
    rain: float | None
    derained: float | None
    """Share of the frames that the network cleaned, 0 to 1."""
    latency_ms: float | None
    """Of 95 % of the frames, from arrival to written."""


class CameraView(_Shown):
    """A camera at this moment."""

    camera: str
    state: str
    """connecting, live, stalled, backoff, failed, ended or paused."""
    message: str | None
    """Why, where something is wrong."""
    since: float
    """When that state began, seconds since 1970; when it was lost, while it is tried again."""
    mode: Mode
    """Derain when it rains (auto), always (on) or never (off)."""
    paused: bool
    """The source is disconnected."""
    source: str
    """Without user and password."""
    size: tuple[int, int] | None
    """Width and height in pixels."""
    fps: float
    """Frames a second that were decoded in the last seconds."""
    fps_out: float
    """Frames a second that left in the last seconds, derained or not."""
    age_s: float | None
    """Seconds since the newest frame that left was taken."""
    rain: float | None
    """Rain score of that frame, 0 to 1."""
    raining: bool | None
    derained: bool | None
    """Whether the network cleaned it."""
    bypass: str | None
    """Why not."""
    decoded: Annotated[int, Field(ge=0)]
    derained_total: Annotated[int, Field(ge=0)]
    bypassed: dict[str, int]
    """Frames that left as they came, by reason."""
    dropped: dict[str, int]
    """Frames left out before the outputs, by reason."""
    outputs: dict[str, OutputView]
    queue: Annotated[int, Field(ge=0)]
    """Frames that wait for the network, or are in it."""
    connects: Annotated[int, Field(ge=0)]
    corrupt: Annotated[int, Field(ge=0)]
    """Frames that came damaged."""
    latency_ms: dict[str, LatencyView]
    """By stage: wait (for the network), network, write, total."""


class CameraDetail(CameraView):
    """A camera at this moment, with its last two minutes."""

    history: list[MomentView]


class CameraList(_Shown):
    """All cameras, in the order in which they were added."""

    cameras: list[CameraView]


class ModelView(_Shown):
    """The network that runs."""

    name: str
    device: str
    runtime: str
    sha256: str | None
    batches: dict[str, int]
    """How many runs had so many frames, by number of frames."""
    runs: Annotated[int, Field(ge=0)]
    loaded: float
    """When, seconds since 1970."""
    reloads: Annotated[int, Field(ge=0)]


class LiveReport(_Shown):
    """What the WebSocket tells once a second, and at every change."""

    cameras: list[CameraView]
    model: ModelView


class SessionView(_Shown):
    """What the one who asks may do."""

    may_read: bool
    may_change: bool
    token_needed: bool
    """Whether there is a token that would allow more."""
    signed_in: bool
    """Whether it comes with a session's cookie, which signing out ends."""


class Health(_Shown):
    """Whether all is well."""

    ok: bool
    waiting: str | None = None
    """For what, where it isn't."""


class ConfigView(RootModel[dict[str, Any]]):
    """Plain data."""


class SessionRequest(_Given):
    """Sign in."""

    token: Annotated[str, StringConstraints(max_length=1024)]
    """service.token of the configuration."""


class SteerRequest(_Given):
    """Steer a camera; what isn't given stays as it is."""

    paused: bool | None = None
    """true disconnects the source."""
    mode: Mode | None = None
    """Derain when it rains (auto), always (on) or never (off)."""


class ModelRequest(_Given):
    """Load a network."""

    model: Text | None = None
    """Name of a shipped network, or an .onnx file; null loads the same one again."""


class SnapshotQuery(_Given):
    """Of a picture."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    view: View = "after"
    """The camera's picture (before), the derained one (after), or both side by side."""
    format: Literal["jpeg", "png"] = "jpeg"
    width: Width | None = None
    """Of one picture, in pixels; never more than the camera's. Both are twice as wide."""


class StreamQuery(_Given):
    """Of moving pictures."""

    model_config = ConfigDict(extra="ignore", frozen=True, use_attribute_docstrings=True)

    view: View = "after"
    """The camera's picture (before), the derained one (after), or both side by side."""
    width: Width | None = None
    """Of one picture, in pixels; never more than the camera's. Both are twice as wide."""
    fps: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 10.0
    """Pictures a second at most."""


class WatchRequest(_Given):
    """What a client says over the WebSocket: what it wants to see, or what it has drawn."""

    watch: Annotated[
        dict[Annotated[str, StringConstraints(pattern=CAMERA_ID)], StreamQuery] | None,
        Field(max_length=256),
    ] = None
    """Pictures of which cameras, the whole set each time."""
    ack: Annotated[str, StringConstraints(pattern=CAMERA_ID)] | None = None
    """Of this camera the newest picture was drawn; the next one may come."""


def camera_view(report: CameraReport) -> CameraView:
    """Return what is shown of a camera."""
    return CameraView(**_camera(report))


def camera_detail(report: CameraReport) -> CameraDetail:
    """Return what is shown of a camera that is asked for alone."""
    return CameraDetail(**_camera(report), history=[_moment(one) for one in report.history])


def model_view(report: ModelReport) -> ModelView:
    """Return what is shown of the network."""
    return ModelView(
        name=report.name, device=report.device, runtime=report.runtime, sha256=report.sha256,
        batches={str(size): runs for size, runs in sorted(report.batches.items())},
        runs=report.runs, loaded=report.loaded, reloads=report.reloads,
    )  # fmt: skip


def _camera(report: CameraReport) -> dict[str, Any]:
    count = report.stats.count
    return {
        "camera": report.camera, "state": report.state, "message": report.message,
        "since": round(report.since, 3), "mode": report.mode, "paused": report.paused,
        "source": report.source, "size": report.size, "fps": round(report.fps, 2),
        "fps_out": round(report.fps_out, 2), "age_s": _rounded(report.age_s),
        "rain": _rounded(report.rain), "raining": report.raining,
        "derained": report.derained, "bypass": report.bypass,
        "decoded": count.decoded, "derained_total": count.derained, "bypassed": count.bypassed,
        "dropped": count.dropped, "queue": report.queue, "connects": report.stats.connects,
        "corrupt": report.stats.corrupt,
        "outputs": {
            name: OutputView(
                written=outlet.written, waiting=outlet.waiting, dropped=outlet.dropped
            )
            for name, outlet in count.outlets.items()
        },
        "latency_ms": {
            stage: LatencyView(
                p50=_milliseconds(latency.quantile(0.5)), p95=_milliseconds(latency.quantile(0.95))
            )
            for stage, latency in report.latency.items()
        },
    }  # fmt: skip


def _moment(moment: Moment) -> MomentView:
    return MomentView(
        t=round(moment.t, 3), fps=round(moment.fps, 2), rain=_rounded(moment.rain),
        derained=_rounded(moment.derained), latency_ms=_rounded(moment.latency_ms),
    )  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)
