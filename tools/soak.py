"""Run live cameras for a long time with random faults: ``python -m tools.soak --minutes 30``.

Cameras are GStreamer's RTSP servers behind relays that cut, freeze, trickle and refuse; subscribers
come, go and stop reading; pictures change their size. Resident memory, threads and file descriptors
are sampled once each size has been through the network; they have to level off, every frame has to
be accounted for at every sample, and every camera has to be back at the end. Needs the packages
that ``tests/real/servers.py`` names.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from streamderain.client import Subscriber
from streamderain.config import RunConfig
from streamderain.inference.create import create_backend
from streamderain.live.service import LiveService
from streamderain.logs import set_up_logging
from tests.real.relay import Relay
from tests.real.servers import RtspCameras, gstreamer

log = logging.getLogger("streamderain")

SAMPLE_S = 0.25
FAULTS = ("cut", "freeze", "trickle", "down", "resize", "deaf")

SIZES = ((320, 240), (416, 312), (256, 192))
"""Widths and heights that pictures have; of the largest, several are run side by side."""

KEPT_MIB = 40
"""What runtimes may still come to keep, for numbers of frames that weren't run before; a minute's
frames are some hundred."""

WARM_S = 60.0
"""How long it may take until a size has been through the network."""


@dataclass
class Sample:
    """What the process holds at one moment: MiB of resident memory, threads, descriptors."""

    seconds: float
    memory_mib: float
    threads: int
    descriptors: int


@dataclass
class SoakResult:
    """What was found.

    Attributes:
        minutes: how long it ran.
        faults: how many of each kind were made.
        decoded, derained: frames, of all cameras.
        connects: first frames after a connection, of all cameras.
        samples: of the process, every quarter second.
        unaccounted: samples at which a frame was missing.
        lost: frames that the healthy subscriber lost.
        not_back: cameras that were not live at the end.
    """

    minutes: float
    faults: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS, 0))
    decoded: int = 0
    derained: int = 0
    connects: int = 0
    samples: list[Sample] = field(default_factory=list)
    unaccounted: int = 0
    lost: int = 0
    not_back: list[str] = field(default_factory=list)

    def levels(self, quantity: str) -> tuple[float, float, float]:
        """Return the medians of a quantity over the three thirds of the run."""
        values = [getattr(sample, quantity) for sample in self.samples]
        third = len(values) // 3
        return (
            median(values[:third]), median(values[third : 2 * third]), median(values[2 * third :]),
        )  # fmt: skip

    def problems(self) -> list[str]:
        """Return what is wrong, a sentence each."""
        found = []
        for quantity, share, slack in (
            ("memory_mib", 0.05, KEPT_MIB), ("threads", 0.0, 2), ("descriptors", 0.0, 6),
        ):  # fmt: skip
            _, middle, last = self.levels(quantity)
            if last > middle * (1 + share) + slack:
                found.append(f"{quantity} does not level off: {middle:g}, then {last:g}")
        if self.unaccounted:
            found.append(f"frames were unaccounted for at {self.unaccounted} samples")
        if self.not_back:
            found.append(f"not back at the end: {', '.join(self.not_back)}")
        return found


def soak(seconds: float, cameras: int, model: str, seed: int, folder: Path) -> SoakResult:
    """Run for so many seconds."""
    rng, result = random.Random(seed), SoakResult(minutes=seconds / 60)
    names = [f"cam{index}" for index in range(cameras)]
    address = f"ipc://{folder / 'frames.ipc'}"
    with ExitStack() as stack:
        kinds: dict[str, Any] = {
            name: {"codec": ("h264", "h265")[index % 2]} for index, name in enumerate(names)
        }
        servers = stack.enter_context(RtspCameras(**kinds))
        relays = {name: stack.enter_context(Relay(servers.ports[name])) for name in names}
        backend = stack.enter_context(create_backend(model))
        service = LiveService(_config(names, servers, relays, address, folder), backend)
        healthy = stack.enter_context(Subscriber(address))
        service.start()
        stack.callback(service.stop)
        _warm_up(service, servers, names)
        with _sampled(service, result):
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                name, fault = rng.choice(names), rng.choice(FAULTS)
                result.faults[fault] += 1
                log.info("soak: %s %s", fault, name)
                _make(fault, name, relays[name], servers, address, rng)
                time.sleep(min(rng.uniform(1, 5), max(0.0, ends - time.monotonic())))
            result.not_back = _not_back(service, names)
        counts = [service.stats(name) for name in names]
        result.decoded = sum(stats.count.decoded for stats in counts)
        result.derained = sum(stats.count.derained for stats in counts)
        result.connects = sum(stats.connects for stats in counts)
        result.lost = sum(view.lost for view in healthy.cameras.values())
    return result


def _warm_up(service: LiveService, servers: Any, names: list[str]) -> None:
    """Show each size until it was derained: what runtimes keep for it isn't lost memory."""
    for width, height in SIZES:
        ends = time.monotonic() + WARM_S
        for name in names:
            servers.resize(name, width, height)
        for name in names:
            derained: int | None = None
            while derained is None or service.stats(name).count.derained == derained:
                if time.monotonic() > ends:
                    raise SystemExit(f"error: no frame of {width}x{height} of {name} was derained")
                time.sleep(0.1)
                pair = service.control.pair(name)
                if derained is None and pair is not None and pair.frame.size == (height, width):
                    derained = service.stats(name).count.derained


def _config(
    names: list[str], servers: Any, relays: dict[str, Any], address: str, folder: Path
) -> RunConfig:
    return RunConfig.model_validate(
        {
            "stats": 10,
            "defaults": {
                "gate": {"always": True},
                "timeout": 3, "stall": 1, "backoff": 0.2, "backoff_most": 2,
                "outputs": [
                    {"type": "zeromq", "address": address},
                    {"type": "record", "folder": str(folder / "{camera}"), "segment": 20},
                ],
            },
            "cameras": {name: {"source": servers.url(name, relays[name].port)} for name in names},
        }
    )  # fmt: skip


def _make(
    fault: str, name: str, relay: Any, servers: Any, address: str, rng: random.Random
) -> None:
    """Make a fault and, after a while, undo it."""
    length = rng.uniform(0.5, 4)
    if fault == "cut":
        relay.cut()
    elif fault in ("freeze", "trickle"):
        relay.mode = fault
        time.sleep(length)
        relay.mode = "pass"
    elif fault == "down":
        relay.down()
        time.sleep(length)
        relay.up()
    elif fault == "resize":
        servers.resize(name, *rng.choice(SIZES))
    elif fault == "deaf":
        with Subscriber(address):  # connected, and its user takes nothing
            time.sleep(length)


@contextmanager
def _sampled(service: LiveService, result: SoakResult) -> Iterator[None]:
    stop, began = threading.Event(), time.monotonic()

    def sample() -> None:
        while not stop.wait(SAMPLE_S):
            for name in service.cameras:
                result.unaccounted += any(service.stats(name).count.missing().values())
            result.samples.append(
                Sample(
                    round(time.monotonic() - began, 2), round(_memory_mib(), 1),
                    threading.active_count(), len(list(Path("/proc/self/fd").iterdir())),
                )
            )  # fmt: skip

    thread = threading.Thread(target=sample, name="sampler", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _memory_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _not_back(service: LiveService, names: list[str]) -> list[str]:
    """Return the cameras that don't come back within 20 seconds of the last fault."""
    ends = time.monotonic() + 20
    while True:
        away = [name for name in names if service.stats(name).state != "live"]
        if not away or time.monotonic() > ends:
            return away
        time.sleep(0.1)


def report(result: SoakResult) -> str:
    """Return a table in Markdown: medians of each third of the run."""
    lines = [
        f"{result.minutes:g} minutes, {sum(result.faults.values())} faults "
        f"({', '.join(f'{count} {name}' for name, count in result.faults.items())}), "
        f"{result.connects} connects, {result.decoded} frames decoded, {result.derained} derained, "
        f"{result.lost} lost to the healthy subscriber, {len(result.samples)} samples",
        "",
        "| median of | first third | second third | last third |",
        "| --- | --- | --- | --- |",
    ]
    for quantity, label in (
        ("memory_mib", "resident memory, MiB"), ("threads", "threads"),
        ("descriptors", "file descriptors"),
    ):  # fmt: skip
        values = " | ".join(f"{value:g}" for value in result.levels(quantity))
        lines.append(f"| {label} | {values} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run it; exit code 1 where something didn't hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--model", default="attention-s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="keep all samples")
    args = parser.parse_args(arguments)
    if missing := gstreamer():
        print(f"error: {missing}", file=sys.stderr)
        return 1
    set_up_logging(lambda text: text)
    with tempfile.TemporaryDirectory() as folder:
        result = soak(args.minutes * 60, args.cameras, args.model, args.seed, Path(folder))
    if args.json:
        args.json.write_text(json.dumps(asdict(result)), encoding="utf-8")
    print(report(result))
    problems = result.problems()
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
