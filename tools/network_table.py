"""The table of all networks that ship, as Markdown: ``python -m tools.network_table``.

Quality, size and arithmetic are those of the cards; the time of a frame is measured here, on this
machine: the median of several runs over frames of the drawn street in heavy rain, tiles included,
without decoding and encoding.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Sequence

from streamderain.arguments import parse_size
from streamderain.frame import Pixels
from streamderain.hardware import cpu_name
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS, create_backend
from streamderain.inference.running import derain
from streamderain.models import ModelCard, available_models
from streamderain.readers.scene import SceneReader
from tools.ending import ends_in_a_sentence

__all__ = ["main", "milliseconds", "table"]

HEAD = (
    "| network | parameters | multiplications a pixel | light | heavy | dry | ms a {size} frame |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)


def milliseconds(backend: Backend, frames: Sequence[Pixels], seconds: float) -> float:
    """Return the median time of a frame over about ``seconds``, after one that doesn't count."""
    derain(backend, frames[:1])
    times: list[float] = []
    stop = time.perf_counter() + seconds
    for frame in itertools.cycle(frames):
        started = time.perf_counter()
        derain(backend, [frame])
        ended = time.perf_counter()
        times.append(1000 * (ended - started))
        if ended > stop and len(times) >= 3:
            return statistics.median(times)
    raise ValueError("there are no frames")


def table(rows: Sequence[tuple[ModelCard, float]], size: str) -> str:
    """Return cards and times as a Markdown table: PSNR in dB and SSIM on Y."""
    lines = [HEAD.format(size=size)]
    for card, time_ms in rows:
        scores = [
            f"{card.validation[rain].psnr_y:.2f} / {card.validation[rain].ssim_y:.3f}"
            for rain in ("light", "heavy")
        ]
        lines.append(
            f"| `{card.name}` | {card.parameters / 1e6:.2f} M | {card.macs_per_pixel:,.0f} "
            f"| {scores[0]} | {scores[1]} | {card.validation['dry'].psnr_y:.2f} | {time_ms:,.0f} |"
        )
    return "\n".join(lines)


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1280x720", metavar="WxH", help="of the frames")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each network")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs them")
    args = parser.parse_args(arguments)
    height, width = parse_size(args.size)
    with SceneReader(height=height, width=width, seconds=0.12) as reader:
        frames = [frame.pixels for frame in reader]
    rows, device = [], args.device
    for info in available_models():
        assert info.card is not None
        with create_backend(info.name, args.device, args.backend, "float") as backend:
            rows.append((info.card, milliseconds(backend, frames, args.seconds)))
            device = backend.device
    print(table(rows, args.size))
    print(f"\n{cpu_name()}, on {device}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
