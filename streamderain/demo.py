"""The demonstration: a rainy test scene through the whole pipeline, judged against its truth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamderain import metrics
from streamderain.clean import Progress
from streamderain.errors import OutputError
from streamderain.frame import Frame, Pixels
from streamderain.inference.create import create_backend
from streamderain.inference.derainer import Derainer
from streamderain.inference.remembering import MAX_LOOKAHEAD
from streamderain.pipeline import Pipeline
from streamderain.readers.scene import SceneReader
from streamderain.report import JobReport
from streamderain.streams import made_folders
from streamderain.views import original, split
from streamderain.writers.base import Writer
from streamderain.writers.fanout import FanOutWriter, View
from streamderain.writers.pictures import write_picture
from streamderain.writers.video import VideoFileWriter

__all__ = ["DemoResult", "run_demo"]

VIDEOS = ("rainy.mp4", "clean.mp4", "compare.mp4")
STILL = "compare.png"


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Attributes:
        files: what was written, in order of ``rainy``, ``clean``, ``compare``, the still.
        model, device, runtime: what ran, on what, and what ran it.
        frames: of each video.
        frames_per_second: of the whole pipeline, the three encoders included.
        psnr_before, psnr_after: mean PSNR in dB on Y against the scene without rain, before
            the encoder, of the rainy and of the derained frames.
        ssim_before, ssim_after: the same for SSIM.
        notes: what there is to know of the device, such as a GPU that could not be used.
    """

    files: list[Path]
    model: str
    device: str
    runtime: str
    frames: int
    frames_per_second: float
    psnr_before: float
    psnr_after: float
    ssim_before: float
    ssim_after: float
    notes: tuple[str, ...] = ()


class _Judge:
    """A writer that writes nothing: it compares every n-th frame with the truth."""

    def __init__(self, truth: Callable[[int], Pixels], every: int = 5) -> None:
        self._truth, self._every = truth, every
        self._scores: list[tuple[float, float, float, float]] = []
        self.notes: list[str] = []
        self.frames = 0

    def write(self, frame: Frame) -> None:
        self.frames += 1
        if frame.index % self._every:
            return
        truth = metrics.luma(self._truth(frame.index))
        before = metrics.luma(original(frame).pixels)
        after = metrics.luma(frame.pixels)
        self._scores.append(
            (
                metrics.psnr(before, truth), metrics.psnr(after, truth),
                metrics.ssim(before, truth), metrics.ssim(after, truth),
            )
        )  # fmt: skip

    def finish(self) -> None:
        """Nothing is left to do."""

    def abandon(self) -> None:
        """Nothing is left to remove."""

    def means(self) -> tuple[float, float, float, float]:
        """PSNR before and after, SSIM before and after."""
        a, b, c, d = np.mean(self._scores, axis=0).tolist()
        return a, b, c, d


class _Still:
    """A writer of one frame: the one in the middle of the clip, as a picture."""

    def __init__(self, target: Path, index: int, *, overwrite: bool) -> None:
        self._target, self._index, self._overwrite = target, index, overwrite
        self._pixels: Pixels | None = None
        self.notes: list[str] = []
        self.frames = 0

    def write(self, frame: Frame) -> None:
        if frame.index <= self._index:
            self._pixels = frame.pixels

    def finish(self) -> None:
        if self._pixels is not None:
            write_picture(self._target, self._pixels, overwrite=self._overwrite)
            self.frames = 1

    def abandon(self) -> None:
        self._pixels = None


def _derained(frame: Frame) -> Frame:
    return frame


def run_demo(
    folder: Path, model: str, device: str, seconds: float, progress: Progress, *, overwrite: bool
) -> DemoResult:
    """Draw the scene, clean it and write the results into a folder.

    Raises:
        StreamderainError: a file is there already, can't be written, or the network can't run.
    """
    files = [folder / name for name in (*VIDEOS, STILL)]
    there = [path.name for path in files if path.exists()]
    if there and not overwrite:
        raise OutputError(
            f"{folder} holds {', '.join(there)} already; say --overwrite or choose another folder"
        )
    with ExitStack() as stack:
        backend = stack.enter_context(create_backend(model, device))
        reader = stack.enter_context(SceneReader(seconds=seconds))
        stack.enter_context(made_folders([folder]))
        targets: list[tuple[Writer, View]] = []
        for path, view in zip(files, (original, _derained, split), strict=False):
            video = VideoFileWriter(path, reader.format, overwrite=overwrite)
            stack.callback(video.abandon)  # does nothing once it is finished
            targets.append((video, view))
        judge = _Judge(reader.clean_frame)
        still = _Still(files[-1], (reader.format.frames or 1) // 2, overwrite=overwrite)
        writer = FanOutWriter([*targets, (judge, _derained), (still, split)])
        derainer = Derainer(backend, keep_original=True, lookahead=MAX_LOOKAHEAD)
        size = (reader.format.height, reader.format.width)
        progress.start("demo", reader.format.frames)
        pipeline = Pipeline(
            reader, derainer, writer, batch=derainer.batch_for(*size), progress=progress.update
        )
        result = pipeline.run()
        report = JobReport(
            input="demo", output=str(folder), ok=True, frames_in=result.decoded,
            frames_out=result.written, derained=result.derained,
            frames_per_second=result.written / max(result.seconds, 1e-9),
        )  # fmt: skip
        progress.end(report)
        before, after, ssim_before, ssim_after = judge.means()
        return DemoResult(
            files=files, model=backend.name, device=backend.device, runtime=backend.runtime,
            frames=result.written, frames_per_second=report.frames_per_second,
            psnr_before=before, psnr_after=after, ssim_before=ssim_before, ssim_after=ssim_after,
            notes=tuple(backend.notes),
        )  # fmt: skip
