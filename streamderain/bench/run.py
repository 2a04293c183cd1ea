"""All measurements, one after the other."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

import streamderain
from streamderain.bench.arithmetic import arithmetic_of, convolution_rates
from streamderain.bench.cameras import measure_cameras
from streamderain.bench.figures import stages_of, together_of
from streamderain.bench.footage import FPS, Footage
from streamderain.bench.passing import derainer_for, measure_dry, pass_through
from streamderain.bench.results import Against, Arithmetic, BenchResult, Dry, Machine
from streamderain.bench.rivals import Rival, measure_against
from streamderain.bench.stages import (
    ALWAYS,
    measure_decode,
    measure_encode,
    measure_inference,
)
from streamderain.hardware import cpu_name, usable_cores
from streamderain.inference.backend import Backend
from streamderain.inference.create import create_backend
from streamderain.inference.derainer import Derainer
from streamderain.models import NULL

__all__ = ["BenchOptions", "machine_here", "run_bench"]

LEAST_FRAMES, MOST_FRAMES = 8, 4000
"""Of a clip that goes through all stages."""
DECODED = 100
"""Frames of a clip that is decoded alone: opening it takes as long as some of them."""

STAGES_MOST_S = 3.0
"""After so long, the figures of a stage alone don't change any more."""


@dataclass(frozen=True)
class BenchOptions:
    """What to measure.

    Attributes:
        model, device, backend, precision: as ``create_backend`` takes them.
        height, width: of the frames, in pixels.
        seconds: about how long each measurement takes.
        batch: frames a run of the network, or None to choose.
        cameras: how many to serve at once as ``run`` does, or None.
        fps: frames a second of each camera.
        dry: measure a clip without rain as well.
        bitrate: of the files that are decoded, in bits a second; None for the quality of ``clean``.
        against: what to measure in turns with the model, or None.
    """

    model: str
    device: str = "auto"
    backend: str = "auto"
    precision: str = "auto"
    height: int = 720
    width: int = 1280
    seconds: float = 5.0
    batch: int | None = None
    cameras: int | None = None
    fps: Fraction = Fraction(FPS)
    dry: bool = False
    bitrate: int | None = None
    against: Rival | None = None


def run_bench(
    options: BenchOptions, begin: Callable[[str], None] = lambda part: None
) -> BenchResult:
    """Measure.

    Args:
        options: what.
        begin: is told what comes next, in a few words.

    Raises:
        StreamderainError: the network can't run, or the scratch files can't be written.
    """
    begin("load the network")
    with (
        create_backend(
            options.model, options.device, options.backend, options.precision
        ) as backend,
        tempfile.TemporaryDirectory() as scratch,
    ):
        return _Bench(options, backend, Path(scratch), begin).run()


class _Bench:
    """One run of the command."""

    def __init__(
        self, options: BenchOptions, backend: Backend, folder: Path, begin: Callable[[str], None]
    ) -> None:
        self._options, self._backend, self._folder = options, backend, folder
        self._begin = begin
        self._size = options.height, options.width
        self._batch = Derainer(backend, batch=options.batch).batch_for(*self._size)

    def run(self) -> BenchResult:
        options, backend, batch = self._options, self._backend, self._batch
        machine = machine_here()
        self._begin("draw frames")
        footage = Footage(*self._size, bitrate=options.bitrate)
        cameras = None
        if options.cameras is not None:  # first, while nothing else has touched the memory
            self._begin(f"serve {options.cameras} cameras")
            cameras = measure_cameras(
                backend, footage, options.cameras, options.seconds, fps=options.fps,
                batch=options.batch,
            )  # fmt: skip
        short = min(options.seconds, STAGES_MOST_S)
        self._begin("measure gauge, prior and network")
        inference = measure_inference(backend, footage, batch, short)
        self._begin("measure encoding")
        encode = measure_encode(
            footage, inference.cleaned, self._folder / "encoded.mp4", short, backend.device
        )
        slowest_s = max(inference.frame_s, encode.frame_s)
        count = self._frames_in(options.seconds, slowest_s, least=max(LEAST_FRAMES, 2 * batch))
        clip = footage.write(self._folder / "clip.mp4", count)
        longer = clip
        if count < DECODED:
            longer = footage.write(self._folder / "decoded.mp4", DECODED)
        self._begin("measure decoding")
        decode = measure_decode(longer, short)
        self._begin("measure all together")
        passage = pass_through(
            clip, self._folder / "clean.mp4", derainer_for(backend, batch, ALWAYS), batch,
            backend.device,
        )  # fmt: skip
        samples = {"decode": decode, **inference.samples, "encode": encode}
        stages = stages_of(samples, *self._size, batch, batched=("stack", "infer"))
        return BenchResult(
            model=backend.name, device=backend.device, runtime=backend.runtime,
            width=options.width, height=options.height, bitrate=options.bitrate, batch=batch,
            machine=machine,
            stages=stages,
            together=together_of(
                passage.sample, samples, *self._size, machine.cores, passage.derained
            ),
            arithmetic=self._arithmetic(
                next((s.megapixels_per_second for s in stages if s.name == "infer"), None)
            ),
            dry=self._dry(max(decode.frame_s, encode.frame_s)),
            cameras=cameras, against=self._against(footage, slowest_s),
            notes=list(backend.notes),
        )  # fmt: skip

    def _frames_in(self, seconds: float, frame_s: float, least: int = LEAST_FRAMES) -> int:
        return int(max(least, min(seconds / frame_s, MOST_FRAMES)))

    def _arithmetic(self, megapixels_per_second: float | None) -> Arithmetic | None:
        if megapixels_per_second is None or self._backend.name == NULL:
            return None
        self._begin("measure convolutions")
        rates = convolution_rates(self._backend, min(self._options.seconds, STAGES_MOST_S) / 2)
        return arithmetic_of(self._backend, rates, 1e6 * megapixels_per_second)

    def _dry(self, frame_s: float) -> Dry | None:
        if not self._options.dry:
            return None
        self._begin("measure dry video")
        footage = Footage(*self._size, rain=None, bitrate=self._options.bitrate)
        count = self._frames_in(self._options.seconds / 3, frame_s, least=DECODED)
        return measure_dry(self._backend, footage, self._folder, self._batch, count)

    def _against(self, footage: Footage, frame_s: float) -> Against | None:
        options, rival = self._options, self._options.against
        if rival is None:
            return None
        with create_backend(rival.model, options.device, rival.backend, rival.precision) as other:
            self._begin(f"measure against {other.name}")
            batch = Derainer(other, batch=options.batch).batch_for(*self._size)
            count = self._frames_in(options.seconds / 3, frame_s, least=2 * max(self._batch, batch))
            clip = footage.write(self._folder / "shared.mp4", max(LEAST_FRAMES, count))
            return measure_against(
                self._backend, other, footage, clip, (self._batch, batch), options.seconds
            )


def machine_here() -> Machine:
    """Return what this machine is, and what takes part."""
    return Machine(
        cpu=cpu_name(),
        cores=usable_cores(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        versions={
            "streamderain": streamderain.__version__, "Python": platform.python_version(),
            "FFmpeg": av.ffmpeg_version_info, "PyAV": av.__version__, "OpenCV": cv2.__version__,
            "NumPy": np.__version__,
        },
    )  # fmt: skip
