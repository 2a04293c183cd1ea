"""What Prometheus reads, made from the control's reports at the moment when it asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from streamderain.live.control import Control
from streamderain.live.reports import CameraReport, Latency, ModelReport
from streamderain.live.supervision import CameraState
from streamderain.service.viewers import Tally

__all__ = ["Metrics"]

BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Upper bounds of the batches' histogram, in frames."""


class Metrics(Collector):
    """All metrics of a service, with a registry of their own.

    Every frame is accounted for, for each camera and output and at every scrape: decoded = written
    + the sum of dropped + in flight.

    Args:
        control: of what runs.
        tally: of the viewers.
    """

    def __init__(self, control: Control, tally: Tally) -> None:
        self._control, self._tally = control, tally
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as text, in the format that the header ``Accept`` asks for, and its
        media type.
        """
        encode, media = choose_encoder(accept)
        return encode(self._registry), media

    def describe(self) -> Iterable[Metric]:
        """Return nothing: what there is depends on the cameras."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give all metrics but those of the process."""
        reports = self._control.cameras()
        yield from _frames(reports)
        yield from _cameras(reports)
        yield _latencies(reports)
        yield from _model(self._control.model())
        yield from self._viewers()

    def _viewers(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "streamderain_viewers", "Viewers that watch now.", value=self._tally.watching
        )
        pictures = CounterMetricFamily(
            "streamderain_viewer_pictures",
            "Pictures for viewers: sent, and frames passed over because they wanted fewer or were "
            "slow.",
            labels=["outcome"],
        )
        pictures.add_metric(["sent"], self._tally.sent)
        pictures.add_metric(["skipped"], self._tally.skipped)
        yield pictures
        yield CounterMetricFamily(
            "streamderain_viewers_stuck", "Viewers that were hung up on, as they took nothing.",
            value=self._tally.stuck,
        )  # fmt: skip


def _frames(reports: list[CameraReport]) -> Iterator[Metric]:
    decoded = _counter("frames_decoded", "Frames that a camera gave.")
    derained = _counter("frames_derained", "Frames that the network cleaned.")
    bypassed = _counter("frames_bypassed", "Frames that left as they came.", "reason")
    corrupt = _counter("frames_corrupt", "Frames that came damaged.")
    written = _counter("frames_written", "Frames that an output took.", "output")
    dropped = _counter("frames_dropped", "Frames that never reached an output.", "output", "reason")
    in_flight = GaugeMetricFamily(
        "streamderain_frames_in_flight", "Frames on their way to an output.",
        labels=["camera", "output"],
    )  # fmt: skip
    for report in reports:
        name, count = report.camera, report.stats.count
        decoded.add_metric([name], count.decoded)
        derained.add_metric([name], count.derained)
        corrupt.add_metric([name], report.stats.corrupt)
        for reason, frames in sorted(count.bypassed.items()):
            bypassed.add_metric([name, reason], frames)
        for output, outlet in count.outlets.items():
            written.add_metric([name, output], outlet.written)
            in_flight.add_metric([name, output], count.waiting + outlet.waiting)
            for reason in sorted({*count.dropped, *outlet.dropped}):
                frames = count.dropped.get(reason, 0) + outlet.dropped.get(reason, 0)
                dropped.add_metric([name, output, reason], frames)
    yield from (decoded, derained, bypassed, corrupt, written, dropped, in_flight)


def _cameras(reports: list[CameraReport]) -> Iterator[Metric]:
    damaged = CounterMetricFamily(
        "streamderain_packets_damaged", "Packets that could not be decoded.", labels=["camera"]
    )
    connects = CounterMetricFamily(
        "streamderain_connects", "Connections that gave a frame.", labels=["camera"]
    )
    state = GaugeMetricFamily(
        "streamderain_camera_state", "1 for the state that a camera is in.",
        labels=["camera", "state"],
    )  # fmt: skip
    rain = GaugeMetricFamily(
        "streamderain_camera_rain", "Rain score of the newest frame, 0 to 1.", labels=["camera"]
    )
    age = GaugeMetricFamily(
        "streamderain_camera_age_seconds", "Since the newest frame that left was taken.",
        labels=["camera"],
    )  # fmt: skip
    queue = GaugeMetricFamily(
        "streamderain_queue_frames", "Frames that wait for the network, or are in it.",
        labels=["camera"],
    )  # fmt: skip
    known = [state.value for state in CameraState]
    for report in reports:
        name = report.camera
        damaged.add_metric([name], report.stats.damaged)
        connects.add_metric([name], report.stats.connects)
        for one in dict.fromkeys([*known, "paused", report.state]):
            state.add_metric([name, one], float(one == report.state))
        if report.rain is not None:
            rain.add_metric([name], report.rain)
        if report.age_s is not None:
            age.add_metric([name], report.age_s)
        queue.add_metric([name], report.queue)
    yield from (damaged, connects, state, rain, age, queue)


def _latencies(reports: list[CameraReport]) -> Metric:
    stages = HistogramMetricFamily(
        "streamderain_stage_seconds",
        "How long frames took: wait (for the network), network, write, total.",
        labels=["camera", "stage"],
    )
    for report in reports:
        for stage, latency in report.latency.items():
            stages.add_metric([report.camera, stage], _buckets(latency), latency.total)
    return stages


def _model(report: ModelReport) -> Iterator[Metric]:
    batches = HistogramMetricFamily(
        "streamderain_batch_frames", "Frames that the network took in one run.", labels=[]
    )
    bounds = [float(bound) for bound in BATCHES]
    counts = [0] * (len(bounds) + 1)
    for size, runs in report.batches.items():
        counts[sum(size > bound for bound in bounds)] += runs
    frames = sum(size * runs for size, runs in report.batches.items())
    batches.add_metric([], _buckets(Latency(tuple(bounds), tuple(counts), frames)), frames)
    yield batches
    info = GaugeMetricFamily(
        "streamderain_model_info", "The network that runs.",
        labels=["model", "device", "runtime", "sha256"],
    )  # fmt: skip
    info.add_metric([report.name, report.device, report.runtime, report.sha256 or ""], 1)
    yield info


def _buckets(histogram: Latency) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus counts them, each with all below it."""
    found, below = [], 0
    for bound, count in zip([*histogram.bounds, float("inf")], histogram.counts, strict=True):
        below += count
        found.append(("+Inf" if bound == float("inf") else repr(float(bound)), float(below)))
    return found


def _counter(name: str, said: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"streamderain_{name}", said, labels=["camera", *labels])
