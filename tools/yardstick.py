"""Our networks beside one that everybody knows: ``python -m tools.yardstick attention-m video-s``.

The yardstick has the shape of PReNet (Ren et al., "Progressive Image Deraining Networks", CVPR
2019): six recursions through a convolutional LSTM of 32 channels and five residual pairs, 168,963
numbers. They are random here: it is only timed, in PyTorch and 32-bit floats, as its authors run
it, with as many threads and in the order of channels that are fastest here. All take turns on the
same pictures, so that what slows the machine down meets them all.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamderain.arguments import parse_size
from streamderain.bench.figures import ratio_of
from streamderain.bench.footage import Footage
from streamderain.bench.measuring import take_turns
from streamderain.bench.results import Ratio
from streamderain.bench.run import machine_here
from streamderain.bench.stages import prepare, run_network
from streamderain.errors import UsageError
from streamderain.hardware import usable_cores
from streamderain.inference.backend import Backend
from streamderain.inference.create import BACKENDS, create_backend
from streamderain.inference.precision import PRECISIONS
from tools.ending import ends_in_a_sentence

if TYPE_CHECKING:
    from torch import nn

__all__ = ["RECURSIONS", "Timed", "fastest", "main", "markdown", "prenet_shaped"]

RECURSIONS, CHANNELS, PAIRS = 6, 32, 5
"""As published."""

NAME = "PReNet's shape"

ROUNDS = 3
"""Turns of each that count at least."""


@dataclass(frozen=True)
class Timed:
    """A network that was timed.

    Attributes:
        name: of the network.
        runtime: what ran it.
        macs_per_pixel: multiplications for each pixel, None where nobody counted them.
        frame_s: seconds a frame, turn by turn.
    """

    name: str
    runtime: str
    macs_per_pixel: float | None
    frame_s: Sequence[float]


def prenet_shaped() -> nn.Module:
    """Return a network of PReNet's shape with random weights, in evaluation mode.

    Float N×3×H×W in [0, 1] in and out.
    """
    from torch import Tensor, nn

    from streamderain.networks.dtpnet import ProgressiveStage

    class Yardstick(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stage = ProgressiveStage(RECURSIONS, CHANNELS, PAIRS)

        def forward(self, rainy: Tensor) -> Tensor:
            """Return the picture after all recursions; the first begins with the rainy one."""
            derained: Tensor = self.stage(rainy, rainy)
            return derained

    return Yardstick().eval().requires_grad_(False)


@dataclass(frozen=True)
class Setting:
    """How PyTorch runs the yardstick."""

    threads: int
    channels_last: bool

    def __str__(self) -> str:
        order = ", channels last" if self.channels_last else ""
        return f"{self.threads} thread{'s' if self.threads > 1 else ''}{order}"


def settings() -> list[Setting]:
    """Return what is tried: one thread and all cores, channels first and last.

    Where others want the cores as well, PyTorch's threads wait for each other at every layer, and
    one of them can be ten times as fast as two.
    """
    threads = sorted({1, usable_cores()})
    return [Setting(count, last) for count in threads for last in (False, True)]


def yardstick_turn(network: nn.Module, footage: Footage, setting: Setting) -> Callable[[], float]:
    """Return what runs the yardstick on a picture and gives the seconds that it took."""
    import torch

    layout = torch.channels_last if setting.channels_last else torch.contiguous_format
    pixels = torch.from_numpy(footage.pictures[0]).permute(2, 0, 1)[None]
    picture = (pixels.float() / 255).to(memory_format=layout)

    def turn() -> float:
        before = torch.get_num_threads()
        torch.set_num_threads(setting.threads)
        network.to(memory_format=layout)  # type: ignore[call-overload]
        try:
            with torch.inference_mode():
                began = time.perf_counter()
                network(picture)
                return time.perf_counter() - began
        finally:
            torch.set_num_threads(before)

    return turn


def fastest(network: nn.Module, footage: Footage) -> tuple[Setting, Callable[[], float]]:
    """Return the setting in which the yardstick runs fastest here, and its turn."""
    turns = {setting: yardstick_turn(network, footage, setting) for setting in settings()}
    for turn in turns.values():
        turn()
    taken = dict(zip(turns, take_turns(list(turns.values()), 2), strict=True))
    best = min(taken, key=lambda setting: min(taken[setting]))
    return best, turns[best]


def our_turn(backend: Backend, footage: Footage, seconds: float) -> Callable[[], float]:
    """Return what runs a network of ours for some time and gives the seconds a frame.

    One frame at a time, as the yardstick has it; what the past says is there already.
    """
    run = run_network(backend, prepare(footage, backend.inputs), 1)
    for _ in range(2):  # runtimes compile in the first two
        run()

    def turn() -> float:
        began, count = time.perf_counter(), 0
        while not count or time.perf_counter() - began < seconds:
            run()
            count += 1
        return (time.perf_counter() - began) / count

    return turn


def markdown(yardstick: Timed, ours: Sequence[Timed], height: int, width: int) -> str:
    """Return the times as a Markdown table. Pure."""
    lines = [
        f"| network | run by | multiplications a pixel | Mpx/s | ms a {width}x{height} frame "
        f"| times as fast as {NAME} (least to most) |",
        "| --- | --- | --: | --: | --: | --: |",
    ]
    for timed in (yardstick, *ours):
        median = statistics.median(timed.frame_s)
        needs = "" if timed.macs_per_pixel is None else f"{timed.macs_per_pixel:,.0f}"
        ratio = "1" if timed is yardstick else _ratio(ratio_of(timed.frame_s, yardstick.frame_s))
        lines.append(
            f"| {timed.name} | {timed.runtime} | {needs} | {height * width / 1e6 / median:.3g} "
            f"| {1000 * median:,.1f} | {ratio} |"
        )
    return "\n".join(lines)


def _ratio(ratio: Ratio) -> str:
    median, least, most = (
        f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        for value in (ratio.median, ratio.least, ratio.most)
    )
    return f"{median} ({least} to {most})"


def _measure(
    networks: Sequence[str], size: tuple[int, int], seconds: float, backend: str, precision: str
) -> str:
    import torch

    from streamderain.networks.count import macs_per_pixel

    footage, yardstick = Footage(*size), prenet_shaped()
    with contextlib.ExitStack() as stack:
        ours = [
            stack.enter_context(create_backend(name, "cpu", backend, precision))
            for name in networks
        ]
        setting, turn = fastest(yardstick, footage)
        rounds = max(ROUNDS, round(seconds / turn()))
        turns = [our_turn(network, footage, seconds / rounds) for network in ours]
        taken, *others = take_turns([turn, *turns], rounds)
        rows = [
            Timed(
                f"`{network.name}`", network.runtime,
                network.model.card.macs_per_pixel if network.model.card else None, times,
            )
            for network, times in zip(ours, others, strict=True)
        ]  # fmt: skip
    runtime = f"PyTorch {torch.__version__}, float32, {setting}"
    machine = machine_here()
    foot = (
        f"{machine.cpu}, {machine.cores} cores, load {machine.load or 0:.1f}; {rounds} turns of "
        "each, the networks alone, one frame at a time."
    )
    table = markdown(Timed(NAME, runtime, macs_per_pixel(yardstick), taken), rows, *size)
    return f"{table}\n\n{foot}"


@ends_in_a_sentence
def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="+", metavar="NETWORK", help="name or file")
    parser.add_argument("--size", default="480x320", metavar="WxH", help="of the frames")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each network")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="what runs ours")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS, help="of ours")
    args = parser.parse_args(arguments)
    if args.seconds <= 0:
        raise UsageError("--seconds is above 0")
    print(
        _measure(args.networks, parse_size(args.size), args.seconds, args.backend, args.precision)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
