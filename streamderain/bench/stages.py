"""Each stage of ``clean`` alone."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamderain.bench.figures import Sample
from streamderain.bench.footage import Footage
from streamderain.bench.measuring import measure
from streamderain.frame import Frame, Picture
from streamderain.inference.backend import VIDEO, Backend, takes_apart, takes_planes
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import judged
from streamderain.inference.past import SPAN
from streamderain.inference.prior import Prior
from streamderain.inference.remembering import MAX_LOOKAHEAD, remembered
from streamderain.inference.running import derain_coded, in_rgb, run_stacked, stacked
from streamderain.models import NULL
from streamderain.readers.video import VideoFileReader

__all__ = [
    "ALWAYS",
    "Inference",
    "measure_decode",
    "measure_encode",
    "measure_inference",
    "prepare",
    "run_network",
]

ALWAYS = GateConfig(wet=0.0, dry=0.0)
"""Looks for rain and finds it in every frame, so that all of them go through the network."""

Prepared = Sequence[tuple[Picture, Prior | None]]
"""Pictures, and what the frames around say of them."""


@dataclass(frozen=True)
class Inference:
    """What stands between decoder and encoder, taken apart.

    Attributes:
        samples: of its stages, by name, in the order in which a frame goes through them.
        cleaned: pictures that came out, in the order of time; as many as were run.
    """

    samples: dict[str, Sample]
    cleaned: list[Picture]

    @property
    def frame_s(self) -> float:
        """Wall seconds a frame, one stage after the other."""
        return sum(sample.frame_s for sample in self.samples.values())


def prepare(footage: Footage, inputs: int) -> Prepared:
    """Return the frames as a network wants them: with their priors, where it takes any."""
    if inputs != VIDEO:
        return [(picture, None) for picture in footage.coded]
    known = itertools.islice(
        remembered(footage.frames(), MAX_LOOKAHEAD), SPAN, SPAN + len(footage.coded)
    )
    return [(frame.picture, prior) for frame, prior in known]


def measure_inference(backend: Backend, footage: Footage, batch: int, seconds: float) -> Inference:
    """Measure the gauge, the prior where the network takes one, the stacking, and the network.

    Args:
        backend: what runs the network; ``null`` is never run by ``clean``, and isn't here.
        footage: what is measured with.
        batch: frames a run of the network.
        seconds: for each stage.

    Raises:
        ModelError: the network failed.
    """
    samples = {"gauge": _measure_each(judged(footage.frames(), ALWAYS), seconds, warm=3)}
    if backend.name == NULL:
        return Inference(samples, footage.coded)
    if backend.inputs == VIDEO:
        past = remembered(footage.frames(), MAX_LOOKAHEAD)
        samples["prior"] = _measure_each(past, seconds, warm=SPAN + 1)
    batches = _batches(prepare(footage, backend.inputs), batch)

    def stack() -> int:
        pictures, priors = in_rgb(*next(batches))
        stacked(backend.inputs, pictures, priors)
        return batch

    if not (takes_apart(backend) or takes_planes(backend)):
        samples["stack"] = measure(stack, seconds)
    cleaned: list[Picture] = []
    run = run_network(backend, prepare(footage, backend.inputs), batch)

    def infer() -> int:
        found = run()
        if len(cleaned) < len(footage.coded):
            cleaned.extend(found)
        return batch

    infer()  # a runtime compiles for the first two runs of a shape
    infer()
    cleaned.clear()
    samples["infer"] = measure(infer, seconds, warm=0)
    return Inference(samples, cleaned)


def run_network(
    backend: Backend, prepared: Prepared, batch: int
) -> Callable[[], Sequence[Picture]]:
    """Return what runs the network on the next batch, from what was stacked before.

    A backend that takes frames and priors apart, or as planes, is given them so: its places count.
    """
    count = -(-len(prepared) // batch)
    batches = list(itertools.islice(_batches(prepared, batch), count))
    if takes_apart(backend) or takes_planes(backend):
        apart = itertools.cycle(batches)
        return lambda: derain_coded(backend, *next(apart))
    stacks = [stacked(backend.inputs, *in_rgb(pictures, priors)) for pictures, priors in batches]
    given = itertools.cycle(stacks)
    return lambda: list(run_stacked(backend, next(given)))


def measure_encode(
    footage: Footage, pictures: Sequence[Picture], target: Path, seconds: float, device: str
) -> Sample:
    """Measure the encoder on frames that the network has cleaned.

    Raises:
        OutputError: the file can't be written.
    """
    writer = footage.writer(target, device)
    frames = footage.frames(pictures)

    def write() -> int:
        writer.write(next(frames))
        return 1

    try:
        return measure(write, seconds, finish=writer.finish)
    finally:
        writer.abandon()


def measure_decode(clip: Path, seconds: float) -> Sample:
    """Measure the decoder on a clip, from its beginning again and again; opening it is counted.

    Raises:
        InputError: it can't be read.
    """

    def frames() -> Generator[Frame, None, None]:
        while True:
            with VideoFileReader(clip, planes=True) as reader:
                yield from reader

    with contextlib.closing(frames()) as decoded:
        return _measure_each(decoded, seconds, warm=2)


def _measure_each(frames: Iterator[object], seconds: float, *, warm: int) -> Sample:
    def step() -> int:
        next(frames)
        return 1

    return measure(step, seconds, warm=warm)


def _batches(prepared: Prepared, batch: int) -> Iterator[tuple[list[Picture], list[Prior | None]]]:
    frames = itertools.cycle(prepared)
    while True:
        group = list(itertools.islice(frames, batch))
        yield [picture for picture, _ in group], [prior for _, prior in group]
