"""Derain arrays in one's own program: pictures, batches, and frames that follow one another."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args, overload

import cv2
import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.defaults import LIVE_MODEL
from streamderain.errors import UsageError
from streamderain.frame import Frame, Picture, Pixels, pixels_of, size_of
from streamderain.inference.backend import PICTURE, wants_rgb
from streamderain.inference.create import create_backend
from streamderain.inference.gate import GateConfig
from streamderain.inference.gating import RainWatch
from streamderain.inference.past import TemporalPrior
from streamderain.inference.prior import Prior
from streamderain.inference.running import batch_for, derain_coded
from streamderain.models import NULL

__all__ = ["DerainStream", "Derainer", "PixelFormat"]

PixelFormat = Literal["rgb24", "bgr24"]
"""Order of the colours: ``rgb24``, or ``bgr24`` as OpenCV has it."""


class Derainer(ClosesAtExit):
    """Holds a network and derains arrays with it.

    Arrays that go in are neither changed nor kept; arrays that come out are the caller's. Threads
    may share one: the network runs for one of them after the other.

    Example::

        with Derainer() as derainer:
            stream = derainer.stream()              # one for each camera
            for frame in frames:                    # uint8 H×W×3 RGB, one after the other
                clean = stream.derain(frame)        # dry frames come out as they went in

        with Derainer("attention-m") as derainer:   # pictures that have nothing to do with another
            clean = derainer.derain(picture)        # uint8 H×W×3
            clean = derainer.derain(pictures)       # uint8 N×H×W×3, or a list of any sizes

    Args:
        model: a shipped name (``streamderain models`` lists them) or the path of an ``.onnx`` or
            ``.safetensors`` file. ``video-s`` unless told, for frames that follow one another;
            for single pictures, ``attention-m`` is the better one.
        device, backend, precision: as :func:`~streamderain.inference.create.create_backend` takes
            them.
        pixfmt: order of the colours, in and out: ``rgb24``, or ``bgr24`` as OpenCV has it.

    Raises:
        UsageError: no such device, backend, precision or order of colours.
        ModelError: no such model, or nothing is installed that runs it.
    """

    def __init__(
        self,
        model: str | Path = LIVE_MODEL,
        *,
        device: str = "auto",
        backend: str = "auto",
        precision: str = "auto",
        pixfmt: PixelFormat = "rgb24",
    ) -> None:
        if pixfmt not in get_args(PixelFormat):
            raise UsageError(f"the order of colours is rgb24 or bgr24, not {pixfmt!r}")
        self._backend = create_backend(str(model), device, backend, precision)
        self._lock = threading.Lock()
        self._bgr = pixfmt == "bgr24"
        self._closed = False

    @property
    def model(self) -> str:
        """The network's name."""
        return self._backend.name

    @property
    def device(self) -> str:
        """What it really runs on, ``cpu`` or ``cuda``."""
        return self._backend.device

    @property
    def runtime(self) -> str:
        """What runs it, with its version."""
        return self._backend.runtime

    @property
    def notes(self) -> Sequence[str]:
        """What its user should hear of once, such as that CUDA could not be started."""
        return self._backend.notes

    @property
    def remembers(self) -> bool:
        """Whether the network wants to know what the frames before say of each."""
        return self._backend.inputs != PICTURE

    @property
    def takes_planes(self) -> bool:
        """Whether nothing has to be converted for the network."""
        return not wants_rgb(self._backend)

    def batch_for(self, height: int, width: int) -> int:
        """Return how many frames of a size are best derained together, 1 to 16."""
        return batch_for(self._backend, height, width)

    @overload
    def derain(self, frames: Pixels) -> Pixels: ...

    @overload
    def derain(self, frames: Sequence[Pixels]) -> list[Pixels]: ...

    def derain(self, frames: Pixels | Sequence[Pixels]) -> Pixels | list[Pixels]:
        """Derain pictures, each by itself: nothing is remembered, and nothing passes as dry.

        Args:
            frames: one picture, uint8 H×W×3; several of one size, uint8 N×H×W×3; or a list of
                pictures of any sizes.

        Returns:
            A new array of the same shape; for a list, a list of new arrays.

        Raises:
            UsageError: an array is of another type or shape.
            ModelMemoryError: not even a small piece of a picture fits into memory.
            ModelError: the network failed.
        """
        if isinstance(frames, np.ndarray) and frames.ndim == 3:
            return self._given(self.run([self._taken(frames)])[0])
        results = [self._given(clean) for clean in self.run([self._taken(one) for one in frames])]
        if not isinstance(frames, np.ndarray):
            return results
        return np.stack(results) if results else frames.copy()

    def stream(self, *, always: bool = False, gate: GateConfig | None = None) -> DerainStream:
        """Return what derains the frames of one camera, one after the other.

        Args:
            always: derain every frame, whether it rains or not.
            gate: when it rains; None for the usual thresholds.
        """
        return DerainStream(self, None if always else gate or GateConfig())

    def derain_together(
        self, streams: Sequence[DerainStream], frames: Sequence[Pixels]
    ) -> list[Pixels]:
        """Derain a frame of each of several cameras in as few runs of the network as can be.

        Args:
            streams: of this object; one for each frame.
            frames: the next frame of each, uint8 H×W×3, of any sizes.

        Returns:
            What :meth:`DerainStream.derain` returns for each.

        Raises:
            UsageError: not as many streams as frames, a stream of another object, or an array of
                another type or shape.
            ModelError: the network failed.
        """
        if len(streams) != len(frames):
            raise UsageError(
                f"{len(streams)} streams got {len(frames)} frames; give one for each of them"
            )
        if any(stream.derainer is not self for stream in streams):
            raise UsageError("a stream belongs to the Derainer that made it; make it with this one")
        taken = [self._taken(frame) for frame in frames]  # all are checked before any is remembered
        looked = [stream.look(pixels) for stream, pixels in zip(streams, taken, strict=True)]
        wet = [at for at, (frame, _) in enumerate(looked) if frame.bypass is None]
        cleaned = self.run([looked[at][0].pixels for at in wet], [looked[at][1] for at in wet])
        # What is remembered must stay as it is, so what passes leaves as a copy.
        results = [frame.pixels.copy() for frame, _ in looked if frame.bypass is not None]
        dry = [at for at, (frame, _) in enumerate(looked) if frame.bypass is not None]
        by_place = dict(zip([*wet, *dry], [*cleaned, *results], strict=True))
        return [self._given(by_place[at]) for at in range(len(looked))]

    def run(
        self, pictures: Sequence[Picture], priors: Sequence[Prior | None] | None = None
    ) -> list[Pixels]:
        """Run pictures through the network, those of one size together, and do nothing else.

        Args:
            pictures: RGB, C-contiguous, whatever the order of colours is elsewhere, or planes.
            priors: what the past says of each, of its kind; see
                :func:`streamderain.inference.running.derain_coded`.

        Returns:
            uint8 H×W×3 RGB for each, none of them one of ``pictures``.

        Raises:
            UsageError: it was closed.
            ModelError: the network failed.
        """
        sizes: dict[tuple[int, int], list[int]] = {}
        for at, picture in enumerate(pictures):
            sizes.setdefault(size_of(picture), []).append(at)
        results: dict[int, Pixels] = {}
        for size, places in sizes.items():
            batch = self.batch_for(*size)
            for begin in range(0, len(places), batch):
                chosen = places[begin : begin + batch]
                found = self._derain(
                    [pictures[at] for at in chosen],
                    None if priors is None else [priors[at] for at in chosen],
                )
                results |= zip(chosen, map(pixels_of, found), strict=True)
        return [results[at] for at in range(len(pictures))]

    def _derain(
        self, pictures: Sequence[Picture], priors: Sequence[Prior | None] | None
    ) -> Sequence[Picture]:
        with self._lock:
            if self._closed:
                raise UsageError("this Derainer was closed; make a new one")
            return derain_coded(self._backend, pictures, priors)

    def close(self) -> None:
        """Let go of the network; harmless twice."""
        with self._lock:
            self._closed = True
            self._backend.close()

    def _taken(self, frame: Pixels) -> Pixels:
        """Return what came in as RGB of our own: it may be remembered, and the caller may draw."""
        if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
            kind = frame.dtype if isinstance(frame, np.ndarray) else type(frame).__name__
            raise UsageError(f"a frame is a NumPy array of uint8, not of {kind}; convert it")
        if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
            raise UsageError(
                f"a frame has height, width and 3 colours, not the shape {frame.shape}; grey ones "
                "and those with transparency have to be converted"
            )
        if self._bgr:
            return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
        return np.array(frame, order="C")

    def _given(self, pixels: Pixels) -> Pixels:
        if self._bgr:
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)
        return pixels


class DerainStream:
    """The frames of one camera: what they say of the scene, and whether it rains.

    Made by :meth:`Derainer.stream`. Frames are given one by one, in order; another size begins
    anew. Not for several threads at once.

    Attributes:
        derainer: that made it.
        rain: score of the last frame, 0 to 1; None where nothing can be said yet, or nobody asked.
        bypass: why the last frame came out as it went in, ``dry`` or ``null``; None where it was
            derained.
    """

    def __init__(self, derainer: Derainer, gate: GateConfig | None) -> None:
        self.derainer = derainer
        self.rain: float | None = None
        self.bypass: str | None = None
        self._gate, self._frames = gate, 0
        self._size: tuple[int, int] | None = None
        self.reset()

    @property
    def derained(self) -> bool:
        """Whether the network cleaned the last frame."""
        return self._frames > 0 and self.bypass is None

    def reset(self) -> None:
        """Forget what was seen: another scene begins, or the camera was away."""
        self._watch = RainWatch(self._gate)
        self._past = TemporalPrior() if self.derainer.remembers else None

    def derain(self, frame: Pixels) -> Pixels:
        """Return the next frame without rain; where it doesn't rain, a copy of it as it came.

        Args:
            frame: uint8 H×W×3.

        Raises:
            UsageError: it is of another type or shape.
            ModelError: the network failed.
        """
        return self.derainer.derain_together([self], [frame])[0]

    def look(self, pixels: Pixels) -> tuple[Frame, Prior | None]:
        """Take the next frame, RGB, which must not be written to afterwards; run nothing."""
        frame = Frame("stream", 0, self._frames, None, Fraction(1), pixels)
        if self._size is not None and frame.size != self._size:
            self.reset()
        self._size = frame.size
        self._frames += 1
        if self.derainer.model == NULL:
            frame.bypass = NULL
        self._watch.judge(frame)
        self.rain, self.bypass = frame.rain, frame.bypass
        if self._past is None:
            return frame, None
        if frame.bypass is None:
            return frame, self._past.step(pixels)
        self._past.remember(pixels)
        return frame, None
