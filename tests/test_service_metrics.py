"""What Prometheus reads, by its own parsers."""

import math

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_families,
)
from prometheus_client.parser import text_string_to_metric_families as families
from starlette.testclient import TestClient

from streamderain.service.app import make_app
from streamderain.service.metrics import Metrics
from streamderain.service.viewers import Tally
from tests.fake_control import TOKEN, FakeControl, settings

EXPECTED = {
    "streamderain_frames_decoded": "counter", "streamderain_frames_written": "counter",
    "streamderain_frames_dropped": "counter", "streamderain_frames_in_flight": "gauge",
    "streamderain_frames_derained": "counter", "streamderain_frames_bypassed": "counter",
    "streamderain_frames_corrupt": "counter", "streamderain_packets_damaged": "counter",
    "streamderain_connects": "counter", "streamderain_camera_state": "gauge",
    "streamderain_camera_rain": "gauge", "streamderain_camera_age_seconds": "gauge",
    "streamderain_queue_frames": "gauge", "streamderain_stage_seconds": "histogram",
    "streamderain_batch_frames": "histogram", "streamderain_model_info": "gauge",
    "streamderain_viewers": "gauge", "streamderain_viewer_pictures": "counter",
    "streamderain_viewers_stuck": "counter", "process_resident_memory_bytes": "gauge",
    "process_open_fds": "gauge", "process_cpu_seconds": "counter",
}  # fmt: skip


@pytest.fixture
def control():
    control = FakeControl("gate", "yard")
    control.reports["yard"] = control.report("yard", "backoff", rain=None, age_s=None)
    return control


def scraped(control, tally=None, accept=""):
    text, media = Metrics(control, tally or Tally()).expose(accept)
    parse = open_families if "openmetrics" in media else families
    return list(parse(text.decode()))


def values(found):
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in found
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
def test_prometheus_reads_all_of_it(control, accept):
    found = {family.name: family.type for family in scraped(control, accept=accept)}
    assert {name: found.get(name) for name in EXPECTED} == EXPECTED


def test_frames_add_up_for_each_output(control):
    got = scraped(control)
    samples = [sample for family in got for sample in family.samples]

    def total(name, **labels):
        return sum(
            s.value for s in samples if s.name == name and labels.items() <= s.labels.items()
        )

    for camera in ("gate", "yard"):
        decoded = total("streamderain_frames_decoded_total", camera=camera)
        assert decoded == 100
        for output in ("publish", "record"):
            where = {"camera": camera, "output": output}
            assert decoded == (
                total("streamderain_frames_written_total", **where)
                + total("streamderain_frames_dropped_total", **where)
                + total("streamderain_frames_in_flight", **where)
            )


def test_the_state_is_one_of_all(control):
    got = values(scraped(control))
    assert got["streamderain_camera_state", "gate", "live"] == 1
    assert got["streamderain_camera_state", "backoff", "yard"] == 1
    states = [
        v for key, v in got.items() if key[0] == "streamderain_camera_state" and "gate" in key
    ]
    assert sum(states) == 1
    assert len(states) == 7
    assert ("streamderain_camera_rain", "yard") not in got


def test_histograms_count_all_below(control):
    got = {
        tuple(sample.labels.get(key) for key in ("camera", "stage", "le")): sample.value
        for family in scraped(control)
        if family.name == "streamderain_stage_seconds"
        for sample in family.samples
        if sample.name.endswith("_bucket")
    }
    bounds = [got["gate", "total", bound] for bound in ("0.01", "0.1", "1.0", "+Inf")]
    assert bounds == [10, 30, 60, 61]
    got = values(scraped(control))
    assert got["streamderain_stage_seconds_count", "gate", "total"] == 61
    assert got["streamderain_stage_seconds_sum", "gate", "total"] == 12.5
    assert got["streamderain_batch_frames_bucket", "1.0"] == 3
    assert got["streamderain_batch_frames_bucket", "2.0"] == 3
    assert got["streamderain_batch_frames_bucket", "+Inf"] == 5
    assert got[("streamderain_batch_frames_sum",)] == 11


def test_the_network_is_named(control):
    info = next(f for f in scraped(control) if f.name == "streamderain_model_info")
    assert info.samples[0].labels == {
        "model": "video-s", "device": "cpu", "runtime": "onnx 1.0", "sha256": "ab" * 32,
    }  # fmt: skip


def test_viewers_are_counted(control):
    got = values(scraped(control, Tally(watching=3, sent=50, skipped=7, stuck=1)))
    assert got[("streamderain_viewers",)] == 3
    assert got["streamderain_viewer_pictures_total", "sent"] == 50
    assert got["streamderain_viewer_pictures_total", "skipped"] == 7
    assert got[("streamderain_viewers_stuck_total",)] == 1


def test_there_are_no_cameras(control):
    control.reports.clear()
    got = scraped(control)
    assert not [s for f in got for s in f.samples if math.isnan(s.value)]


def test_two_services_do_not_get_in_each_others_way(control):
    for _ in range(2):
        with TestClient(
            make_app(settings(), control, control.hide), base_url="http://127.0.0.1:8080"
        ) as client:
            answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.headers["content-type"].startswith("text/plain")
            assert "streamderain_frames_decoded_total" in answer.text
