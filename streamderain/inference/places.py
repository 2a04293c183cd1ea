"""Pictures as codecs hold them on their way through graphs that take them so, as places.

Such graphs (``streamderain/networks/planar.py``) take a picture, for video also its prior and the
prior's reliability, each uint8 N×h×w×C (``packing.py``), and give uint8 N×h×w×C.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamderain.frame import Planes
from streamderain.inference.backend import Frames
from streamderain.inference.packing import Packing
from streamderain.inference.prior import Prior

__all__ = ["DERAINED", "MULTIPLE", "PLACES", "PLANES_BYTES", "PlacedPlanes", "packing_of"]

PLACES = ("places.frame", "places.prior", "places.reliability")
DERAINED = "places.derained"
"""Names of tensors between the ends, as ``networks/packed.py`` has them: PyTorch isn't needed
here."""

PLANES_BYTES = 1.5
"""Of planes for each pixel."""

MULTIPLE = "multiple"
"""Of the graph's metadata: what the sides of its frames are filled up to."""


def packing_of(channels: int, multiple: str) -> Packing:
    """Return how a graph for planes wants its pictures packed.

    Args:
        channels: of the places that it gives.
        multiple: what its metadata has under :data:`MULTIPLE`.

    Raises:
        ValueError: there are no such places.
    """
    return Packing(round((channels / PLANES_BYTES) ** 0.5), int(multiple))


class PlacedPlanes:
    """Pictures and priors as codecs hold them, as a graph takes them.

    Args:
        packing: of the graph.
        pictures: of one size.
        priors: for video; of each picture, of its kind.

    Attributes:
        count: how many there are.
        result: what came out; undefined until it did.
        refused: the shape of what came out where it was another one than it should be.
    """

    def __init__(
        self, packing: Packing, pictures: Sequence[Planes], priors: Sequence[Prior] | None = None
    ) -> None:
        self._packing, self._pictures, self._priors = packing, pictures, priors
        self.count = len(pictures)
        self.result = [Planes(np.empty_like(p.samples), p.colour) for p in pictures]
        self._grid = packing.grid(*pictures[0].size)
        self._channels = round(PLANES_BYTES * packing.side**2)
        self.refused: tuple[int, ...] | None = None

    def shapes(self, count: int) -> list[tuple[int, ...]]:
        """Return those of the pictures' places, the priors' and the reliabilities'."""
        picture = (count, *self._grid, self._channels)
        if self._priors is None:
            return [picture]
        return [picture, picture, (count, *self._grid, self._packing.side**2)]

    def pack(self, into: Sequence[Frames], first: int, count: int) -> None:
        """Write the places of some of them into arrays of :meth:`shapes`."""
        pictures, *past = into
        for place, number in enumerate(range(first, first + count)):
            self._packing.pack_planes(self._pictures[number], pictures[place])
            if self._priors is not None:
                prior, (scenes, reliabilities) = self._priors[number], past
                assert isinstance(prior.picture, Planes), "a prior is of its frame's kind"
                self._packing.pack_planes(prior.picture, scenes[place])
                self._packing.pack(prior.reliability, reliabilities[place])

    def unpack(self, found: Frames, first: int, count: int) -> None:
        """Turn the places that came out for some of them into planes again."""
        expected = (count, *self._grid, self._channels)
        if found.shape != expected:
            self.refused = found.shape
            return
        for place in range(count):
            self._packing.unpack_planes(found[place], self.result[first + place])
