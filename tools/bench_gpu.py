"""What a GPU makes of the networks, as Markdown and JSON: ``python -m tools.bench_gpu``.

For each runtime that is installed, each network and each size of batches: frames a second of the
network alone (frames are on the GPU and stay there), and end to end (uint8 up, the network, uint8
down, as ``clean`` runs it: a batch begins before the one ahead of it is done, where it can); how
far its pictures are from the CPU's in 32-bit floats; how much of the GPU's memory it takes. What
the card can do is measured beside it: multiplications by large matrices in half, copies within its
memory, and copies up and down. Needs PyTorch for that, or leaves it out; without a GPU, ``--device
cpu`` checks that all of it runs, not how fast a GPU is.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamderain.arguments import parse_size
from streamderain.errors import StreamderainError, UsageError
from streamderain.inference.backend import PICTURE, VIDEO, Backend, Frames, starts_ahead
from streamderain.inference.graphs import one_line
from streamderain.inference.onnx import OnnxBackend
from streamderain.models import ModelInfo, resolve_model
from streamderain.readers.scene import SceneReader
from tools.ending import ends_in_a_sentence
from tools.files import write_whole

__all__ = ["Card", "Figure", "backends_of", "main", "markdown", "measure", "measure_card", "per_s"]

MODELS = ("video-s", "video-m", "attention-s", "attention-m")
RUNTIMES = ("onnx", "onnx-float32", "onnx-no-graphs", "tensorrt", "torch", "torch-no-graphs")
COLUMNS = 12
CHECKED = (360, 640)
"""Height and width of the frames that are compared with the CPU's."""


@dataclass(frozen=True)
class Card:
    """What a device can do at best, measured; None where it wasn't.

    Attributes:
        name: of the device.
        matmul_tflops: 10¹² operations a second, two for a multiplication with its addition.
        memory_gbs: 10⁹ bytes a second that are read and written in a copy within its memory.
        upload_gbs, download_gbs: 10⁹ bytes a second from and to pinned memory.
    """

    name: str
    matmul_tflops: float | None = None
    memory_gbs: float | None = None
    upload_gbs: float | None = None
    download_gbs: float | None = None


@dataclass(frozen=True)
class Figure:
    """One row.

    Attributes:
        model, runtime: the network and what ran it, with its precision.
        batch: frames a run.
        alone, together: frames a second of the network alone, and end to end.
        tflops: 10¹² operations a second of the network alone.
        share: of what the card's multiplications reach.
        memory_share: of what the card's memory reaches, if each convolution reads and writes its
            ends once, in half; more than 1 where a runtime fuses them.
        copies_share: of the time end to end, what the copies up and down take at the card's rate.
        memory_mb: of the GPU, more than before the network was opened, or None.
        per_camera_mb: that, for each frame of the batch.
        worst, mean: difference from the CPU in 32-bit floats, in levels of 255.
        failed: what went wrong instead, or None.
    """

    model: str
    runtime: str
    batch: int
    alone: float = 0.0
    together: float = 0.0
    tflops: float = 0.0
    share: float | None = None
    memory_share: float | None = None
    copies_share: float | None = None
    memory_mb: float | None = None
    per_camera_mb: float | None = None
    worst: int = 0
    mean: float = 0.0
    failed: str | None = None


def per_s(call: Callable[[], object], seconds: float, warm: int = 4) -> float:
    """Return how often a call goes in a second: by the median, after some that don't count."""
    for _ in range(warm):
        call()
    times: list[float] = []
    stop = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < stop:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return 1 / statistics.median(times)


def measure_card(device: str, seconds: float, side: int = 8192) -> Card:
    """Measure what a device can do at best.

    Args:
        device: ``cuda`` or ``cpu``.
        seconds: for each figure.
        side: of the square matrices; copies are of as many bytes.
    """
    if importlib.util.find_spec("torch") is None:
        return Card(f"{device}, not measured without PyTorch")
    import torch

    card = _card(device, seconds, side)
    if device == "cuda":
        torch.cuda.empty_cache()  # so that it isn't counted with the networks
    return card


def _card(device: str, seconds: float, side: int) -> Card:
    import torch

    cuda = device == "cuda"
    kind = torch.float16 if cuda else torch.float32
    a = torch.ones(side, side, dtype=kind, device=device)
    b, c = torch.ones_like(a), torch.empty_like(a)
    here = torch.ones(side, side, dtype=torch.uint8, pin_memory=cuda)
    there = torch.empty(side, side, dtype=torch.uint8, device=device)

    def timed(work: Callable[[], object]) -> float:
        def call() -> None:
            work()
            if cuda:
                torch.cuda.synchronize()

        return per_s(call, seconds)

    return Card(
        name=torch.cuda.get_device_name() if cuda else "the CPU",
        matmul_tflops=timed(lambda: torch.mm(a, b, out=c)) * 2 * side**3 / 1e12,
        memory_gbs=timed(lambda: c.copy_(a)) * 2 * a.nbytes / 1e9,
        upload_gbs=timed(lambda: there.copy_(here, non_blocking=True)) * here.nbytes / 1e9,
        download_gbs=timed(lambda: here.copy_(there, non_blocking=True)) * here.nbytes / 1e9,
    )


def traffic(info: ModelInfo) -> float | None:
    """Return the bytes a pixel that convolutions read and write in half; None without PyTorch."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    from streamderain.inference.pytorch import load_network

    network, side, numbers = load_network(info), 128, 0

    def count(layer: Any, given: Any, found: Any) -> None:
        nonlocal numbers
        numbers += given[0].numel() + found.numel()

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, int(getattr(network, "inputs", 3)), side, side))
    return 2 * numbers / side**2


def backends_of(runtime: str, info: ModelInfo, device: str) -> Backend:
    """Open a network with one of :data:`RUNTIMES`.

    Raises:
        StreamderainError: it isn't installed, or can't be had on the device.
    """
    if device == "cpu" and runtime not in ("onnx", "torch"):
        raise UsageError(f"{runtime} is for GPUs")
    if runtime.startswith("torch"):
        from streamderain.inference.pytorch import PyTorchBackend

        return PyTorchBackend(info, device, graphs=runtime == "torch")
    if device == "cpu":
        return OnnxBackend(info)
    from streamderain.inference.cuda import CudaBackend

    return CudaBackend(
        info,
        tensorrt=runtime == "tensorrt",
        half=runtime != "onnx-float32",
        graphs=runtime != "onnx-no-graphs",
    )


def measure(
    runtime: str, info: ModelInfo, device: str, size: tuple[int, int], batches: Iterable[int],
    seconds: float, card: Card,
) -> list[Figure]:  # fmt: skip
    """Measure one network on one runtime; a row says what failed where something did.

    Errors of any kind: measured alone, a network runs without what makes sentences of a runtime's.
    """
    before = _gpu_memory_mb()
    figures: list[Figure] = []
    try:
        with closing(backends_of(runtime, info, device)) as backend:
            worst, mean = _difference(backend, info)
            for batch in batches:
                label = f"{runtime}: {backend.runtime}"
                try:
                    figures.append(
                        _row(backend, label, _frames(backend, batch, *size), seconds, card, before,
                             worst, mean)
                    )  # fmt: skip
                except Exception as error:  # noqa: BLE001
                    figures.append(Figure(info.name, label, batch, failed=_said(error)))
    except Exception as error:  # noqa: BLE001
        figures.append(Figure(info.name, runtime, 0, failed=_said(error)))
    return figures


def _said(error: Exception) -> str:
    if isinstance(error, StreamderainError):
        return str(error)
    return f"{type(error).__name__}: {one_line(error)}"


def _row(
    backend: Backend, label: str, frames: Frames, seconds: float, card: Card, before: float | None,
    worst: int, mean: float,
) -> Figure:  # fmt: skip
    batch, height, width = frames.shape[:3]
    with _end_to_end(backend, frames) as call:
        together = batch * per_s(call, seconds)
    alone = batch * per_s(_alone(backend, frames), seconds)
    macs = backend.model.card.macs_per_pixel if backend.model.card else 0.0
    tflops = 2 * macs * height * width * alone / 1e12
    after = _gpu_memory_mb()
    taken = None if before is None or after is None else after - before
    moved = traffic(backend.model) if card.memory_gbs else None
    copies = None
    if card.upload_gbs and card.download_gbs:
        seconds_up = backend.inputs / card.upload_gbs / 1e9
        copies = height * width * together * (seconds_up + PICTURE / card.download_gbs / 1e9)
    return Figure(
        model=backend.name, runtime=label, batch=batch, alone=alone, together=together,
        tflops=tflops, share=tflops / card.matmul_tflops if card.matmul_tflops else None,
        memory_share=(
            moved * height * width * alone / card.memory_gbs / 1e9
            if moved and card.memory_gbs
            else None
        ),
        copies_share=copies,
        memory_mb=taken, per_camera_mb=None if taken is None else taken / batch,
        worst=worst, mean=mean,
    )  # fmt: skip


@contextmanager
def _end_to_end(backend: Backend, frames: Frames) -> Iterator[Callable[[], object]]:
    """Give what runs a batch; where the next can begin before one is done, as ``clean`` does."""
    if not starts_ahead(backend) or not backend.can_start(*frames.shape[:3]):
        yield lambda: backend.run(frames)
        return
    under_way = deque([backend.start(frames)])

    def call() -> Frames:
        under_way.append(backend.start(frames))
        return under_way.popleft()()

    yield call
    under_way.popleft()()


def _alone(backend: Backend, frames: Frames) -> Callable[[], object]:
    alone: Callable[[tuple[int, ...]], Callable[[], object]] | None
    alone = getattr(backend, "alone", None)
    return alone(frames.shape) if alone is not None else lambda: backend.run(frames)


def _frames(backend: Backend, count: int, height: int, width: int) -> Frames:
    with SceneReader(height=height, width=width, seconds=0.12) as reader:
        pictures = [frame.pixels for frame in reader]
    frames = np.stack([pictures[index % len(pictures)] for index in range(count)])
    if backend.inputs == VIDEO:
        past = np.roll(frames, 1, axis=0)
        frames = np.concatenate([frames, past, np.full_like(frames[..., :1], 200)], axis=3)
    return frames


def _difference(backend: Backend, info: ModelInfo) -> tuple[int, float]:
    frames = _frames(backend, 2, *CHECKED)
    with closing(OnnxBackend(info)) as cpu:
        found = np.abs(backend.run(frames).astype(int) - cpu.run(frames))
    return int(found.max()), float(found.mean())


def _gpu_memory_mb() -> float | None:
    """Return how much of the first GPU's memory is taken, by whomever; None without a driver."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return float(ran.stdout.strip())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def markdown(card: Card, figures: Sequence[Figure], size: str) -> str:
    """Return what was measured as Markdown."""

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    lines = [
        f"{card.name}: {number(card.matmul_tflops, '.1f')} TFLOP/s in large multiplications, "
        f"{number(card.memory_gbs, ',.0f')} GB/s within its memory, "
        f"{number(card.upload_gbs, '.1f')} GB/s up and {number(card.download_gbs, '.1f')} down. "
        f"Frames of {size}.",
        "",
        "| network | runtime | batch | network alone, frames/s | with copies, frames/s | TFLOP/s "
        "| of the card's | of its memory's rate | copies' share | memory, MB | a camera, MB "
        "| worst, mean difference |",
        "|" + " --- |" * COLUMNS,
    ]
    for row in figures:
        start = f"| `{row.model}` | {row.runtime} | {row.batch} |"
        if row.failed is not None:
            lines.append(f"{start} {row.failed} |" + " |" * (COLUMNS - 4))
            continue
        lines.append(
            f"{start} {row.alone:,.1f} | {row.together:,.1f} | {row.tflops:.2f} "
            f"| {number(row.share, '.1%')} | {number(row.memory_share, '.1%')} "
            f"| {number(row.copies_share, '.1%')} | {number(row.memory_mb, ',.0f')} "
            f"| {number(row.per_camera_mb, ',.0f')} | {row.worst}, {row.mean:.3f} |"
        )
    return "\n".join(lines)


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", default=[], help=f"by default {' '.join(MODELS)}")
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, choices=RUNTIMES)
    parser.add_argument("--size", default="1920x1080", metavar="WxH", help="of the frames")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 2, 4, 8],
                        choices=(1, 2, 4, 8, 16), help="frames a run")  # fmt: skip
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--side", type=int, default=8192, help="of the matrices of the card's rate")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    args = parser.parse_args(arguments)
    size = parse_size(args.size)
    if args.device == "cuda" and _gpu_memory_mb() is None:
        raise UsageError("there is no NVIDIA driver here; use --device cpu to try it out")
    infos = [resolve_model(name) for name in args.models or MODELS]
    card = measure_card(args.device, args.seconds, args.side)
    figures: list[Figure] = []
    for info in infos:
        for runtime in args.runtimes:
            print(f"{info.name}, {runtime} …", file=sys.stderr)
            figures += measure(runtime, info, args.device, size, args.batches, args.seconds, card)
    print(markdown(card, figures, args.size))
    if args.json is not None:
        found: dict[str, Any] = {"card": asdict(card), "size": args.size}
        found["figures"] = [asdict(row) for row in figures]
        write_whole(args.json, (json.dumps(found, indent=1) + "\n").encode())
    return 0 if any(row.failed is None for row in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
