"""Networks on OpenVINO, which is the faster runtime on x86 processors of either make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from streamderain.closing import ClosesAtExit
from streamderain.errors import ModelError
from streamderain.frame import Pixels, Planes
from streamderain.hardware import cpu_name, features_here
from streamderain.inference.backend import PICTURE, VIDEO, Frames
from streamderain.inference.graphs import is_int8, one_line
from streamderain.inference.openvino_ends import PlacesFeed, PlainFeed, PlanesFeed
from streamderain.inference.openvino_network import OpenVinoNetwork
from streamderain.inference.precision import multiplies_bfloats
from streamderain.inference.prior import Prior
from streamderain.inference.tiling import lanes_for
from streamderain.models import ModelInfo

__all__ = ["OpenVinoBackend", "has_openvino"]


class OpenVinoBackend(ClosesAtExit):
    """One network on OpenVINO's CPU plugin (:class:`~streamderain.inference.backend.Backend`).

    It is compiled for the first shape of frames and for those that come again, which takes a tenth
    of a second and makes a run a fifth faster than with free sizes. Processors that are faster in
    bfloat16 (``precision.py``) compute in it where the network's card allows it: at most a few
    levels apart.

    What was compiled for a shape is kept in the user's cache (``cache.py``): with ``video-m`` the
    first frame is ready after 0.18 s then, where it took 0.33.

    Several frames are run side by side, a core each: then no core waits for another at every layer,
    which matters where decoding and encoding want the cores as well. Measured at 720p on two cores,
    one of them also busy with something else: 75 ms a frame, where two cores for one frame at a
    time take 101. A batch that is started before the one before it is done takes each core as that
    has no more frame for it.

    Args:
        info: from :func:`~streamderain.models.resolve_model`; with a path.
        threads: of the CPU's operators, or None for one a core that the process may use.
        precision: ``bf16``, ``f32``, or ``auto``: bfloat16 where it is faster and the network's
            card allows it. Graphs in 8 bits keep what they say; this is for the rest of them.

    Raises:
        ModelError: OpenVINO isn't installed; the file is no ONNX, or not uint8 N×H×W×3 in and out
            with free sizes.
    """

    device = "cpu"

    def __init__(
        self, info: ModelInfo, threads: int | None = None, precision: str = "auto"
    ) -> None:
        self._library: Any = _import_openvino()
        self.name, self.model = info.name, info
        self.notes: tuple[str, ...] = ()
        if precision == "auto":
            allowed = info.card is not None and info.card.precision == "bf16"
            faster = multiplies_bfloats(features_here(), cpu_name())
            precision = "bf16" if allowed and faster and not is_int8(info) else "f32"
        self.precision = precision
        self._network = OpenVinoNetwork(self._library, info, precision, threads)
        signature = self._network.signature
        self._packing, self.inputs = signature.packing, signature.inputs
        self.takes_apart = self._packing is not None
        planes = info.for_planes() if is_int8(info) else None
        self._planes = (
            OpenVinoNetwork(self._library, planes, precision, threads) if planes else None
        )
        self.takes_planes = self._planes is not None
        self.lanes = self._network.lanes
        shown = "int8" if is_int8(info) else precision
        self.runtime = f"OpenVINO {self._library.__version__.split('-')[0]}, {shown}"

    def run(self, frames: Frames) -> Frames:
        """Return the derained frames, uint8 N×H×W×3, of uint8 N×H×W×:attr:`inputs`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        return self.start(frames)()

    def run_apart(self, pictures: Sequence[Pixels], priors: Sequence[Prior] | None) -> Frames:
        """Do the same with frames and priors that nobody has stacked; see :attr:`takes_apart`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        return self.start_apart(pictures, priors)()

    def run_planes(
        self, pictures: Sequence[Planes], priors: Sequence[Prior] | None
    ) -> list[Planes]:
        """Do the same with pictures as codecs hold them; see :attr:`takes_planes`.

        Raises:
            ModelMemoryError: memory ran out.
            ModelError: the model refused the size, or it was closed.
        """
        return self.start_planes(pictures, priors)()

    def can_start(self, count: int, height: int, width: int) -> bool:
        """Say whether so many frames of a size run side by side, all of them."""
        lanes = lanes_for(self.lanes, height, width, self.model.bytes_per_pixel)
        return 1 < lanes <= count

    def start(self, frames: Frames) -> Callable[[], Frames]:
        """Begin what :meth:`run` does (:class:`~streamderain.inference.backend.StartsAhead`)."""
        packing = self._packing
        feed: PlainFeed | PlacesFeed
        if packing is None or not frames.size:
            feed = PlainFeed(self._library, frames)
        elif self.inputs == PICTURE:
            feed = PlacesFeed(packing, list(frames))
        else:
            pictures, priors = zip(*map(_apart, frames), strict=True)
            feed = PlacesFeed(packing, pictures, priors)
        return _begun(self._network, feed, frames.shape)

    def start_apart(
        self, pictures: Sequence[Pixels], priors: Sequence[Prior] | None
    ) -> Callable[[], Frames]:
        """Begin what :meth:`run_apart` does."""
        assert self._packing is not None, "this graph takes frames that are stacked"
        feed = PlacesFeed(self._packing, pictures, priors)
        shape = len(pictures), *pictures[0].shape[:2], self.inputs
        return _begun(self._network, feed, shape)

    def start_planes(
        self, pictures: Sequence[Planes], priors: Sequence[Prior] | None
    ) -> Callable[[], list[Planes]]:
        """Begin what :meth:`run_planes` does."""
        assert self._planes is not None, "this network takes RGB"
        packing = self._planes.signature.packing
        assert packing is not None
        feed = PlanesFeed(packing, pictures, priors)
        return _begun(self._planes, feed, (len(pictures), *pictures[0].size, self.inputs))

    def close(self) -> None:
        """Let go of the network and its memory."""
        self._network.close()
        if self._planes is not None:
            self._planes.close()


def _begun(network: OpenVinoNetwork, feed: Any, shape: tuple[int, ...]) -> Callable[[], Any]:
    """Begin with a feed; what is returned waits and gives what came out of it."""
    finish = network.start(feed, shape)

    def result() -> Any:
        finish()
        return feed.result

    return result


def has_openvino() -> bool:
    """Say whether OpenVINO is installed and can be loaded."""
    try:
        _import_openvino()
    except ModelError:
        return False
    return True


def _import_openvino() -> ModuleType:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise ModelError(
            "OpenVINO isn't installed; run: pip install 'streamderain[openvino]', or leave "
            "--backend openvino out"
        ) from error
    except ImportError as error:
        raise ModelError(
            f"OpenVINO is installed but can't be loaded ({one_line(error)}); "
            "run: pip install --force-reinstall openvino"
        ) from error
    runtime: ModuleType = openvino
    return runtime


def _apart(frame: Pixels) -> tuple[Pixels, Prior]:
    """Take a stacked frame, uint8 H×W×7, apart again."""
    shape = frame.shape[:2]
    pixels, scene = np.empty((*shape, PICTURE), np.uint8), np.empty((*shape, PICTURE), np.uint8)
    reliability = np.empty(shape, np.uint8)
    whole = np.ascontiguousarray(frame)
    channels = [index for to in range(VIDEO) for index in (to, to)]
    cv2.mixChannels([whole], [pixels, scene, reliability], channels)
    return pixels, Prior(scene, reliability)
