"""What goes into OpenVINO's graphs and what comes out: frames as they are, or as places.

Graphs in 8 bits can be cut between their ends (``streamderain/networks/packed.py``); then frame,
prior and reliability go in apart, as places, written straight into the memory of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from streamderain.frame import Pixels
from streamderain.inference.backend import PICTURE, VIDEO, Frames
from streamderain.inference.graphs import End, check_signature
from streamderain.inference.packing import Packing
from streamderain.inference.places import (
    DERAINED,
    MULTIPLE,
    PLACES,
    PlacedPlanes,
    packing_of,
)
from streamderain.inference.prior import Prior
from streamderain.models import ModelInfo

__all__ = ["Feed", "PlacesFeed", "PlainFeed", "PlanesFeed", "Signature", "cut", "signature_of"]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a graph takes.

    Attributes:
        inputs: channels of its frames.
        packing: how to make its places, None where it can't be cut.
        planes: it takes places and nothing else, those of pictures as codecs hold them.
    """

    inputs: int
    packing: Packing | None = None
    planes: bool = False

    def as_bytes(self) -> bytes:
        """Return it for the cache."""
        sides = (self.packing.side, self.packing.multiple) if self.packing else (0, 0)
        return ",".join(map(str, (self.inputs, *sides, int(self.planes)))).encode()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Signature | None:
        """Return what the cache kept, None where it is something else."""
        try:
            inputs, side, multiple, planes = map(int, kept.decode("ascii").split(","))
            return cls(inputs, Packing(side, multiple) if side else None, bool(planes))
        except ValueError:
            return None


def signature_of(info: ModelInfo, graph: Any) -> Signature:
    """Return what a graph takes.

    Raises:
        ModelError: it isn't uint8 N×H×W×C in and N×H×W×3 out with free sizes, nor one of places.
    """
    path = ["framework", MULTIPLE]
    if {end.any_name for end in graph.outputs} == {DERAINED} and graph.has_rt_info(path):
        channels = graph.outputs[0].partial_shape[3].get_length()
        packing = packing_of(channels, str(graph.get_rt_info(path).value))
        return Signature(VIDEO if len(graph.inputs) > 1 else PICTURE, packing, planes=True)
    inputs = check_signature(info, list(map(_end, graph.inputs)), list(map(_end, graph.outputs)))
    found = _between_ends(graph)
    wanted = PLACES if inputs == VIDEO else PLACES[:1]
    if DERAINED not in found or not set(wanted) <= set(found) or not graph.has_rt_info(path):
        return Signature(inputs)
    channels = found[DERAINED].get_partial_shape()[3].get_length()
    side = round((channels / PICTURE) ** 0.5)
    return Signature(inputs, Packing(side, int(str(graph.get_rt_info(path).value))))


def cut(library: Any, graph: Any) -> Any:
    """Return what a graph computes between its ends, of the same layers; it isn't to be used on."""
    from openvino import opset13

    found = _between_ends(graph)
    parameters = []
    for name in (name for name in PLACES if name in found):
        free = library.PartialShape([-1, -1, -1, found[name].get_partial_shape()[3]])
        parameter = opset13.parameter(free, np.uint8, name=name)
        for target in list(found[name].get_target_inputs()):
            target.replace_source_output(parameter.output(0))
        parameters.append(parameter)
    return library.Model([opset13.result(found[DERAINED])], parameters, graph.get_friendly_name())


def _between_ends(graph: Any) -> dict[str, Any]:
    names = {*PLACES, DERAINED}
    outputs = (output for layer in graph.get_ops() for output in layer.outputs())
    return {name: output for output in outputs for name in output.get_names() if name in names}


class Feed(Protocol):
    """Frames of one size on their way through requests; any of them at a time.

    Attributes:
        count: how many there are.
        refused: the shape of what came out where it was another one than it should be.
    """

    count: int
    refused: tuple[int, ...] | None

    def shapes(self, count: int) -> list[tuple[int, ...]]:
        """Return the shapes of the graph's inputs for so many frames."""
        ...

    def fill(self, request: Any, first: int, count: int) -> None:
        """Give a request some of the frames."""
        ...

    def take(self, request: Any, first: int, count: int) -> None:
        """Take what the request made of them."""
        ...


class PlainFeed:
    """Frames that go in as they are (:class:`Feed`).

    Args:
        library: OpenVINO.
        frames: uint8 N×H×W×C.

    Attributes:
        result: uint8 N×H×W×3, what came out; undefined until it did.
    """

    def __init__(self, library: Any, frames: Frames) -> None:
        self._library, self._frames = library, np.ascontiguousarray(frames)
        self.count = len(frames)
        self.result = np.empty((*frames.shape[:3], PICTURE), np.uint8)
        self.refused: tuple[int, ...] | None = None

    def shapes(self, count: int) -> list[tuple[int, ...]]:
        """Return the one shape."""
        return [(count, *self._frames.shape[1:])]

    def fill(self, request: Any, first: int, count: int) -> None:
        """Lend the frames to the request."""
        part = self._frames[first : first + count]
        request.set_input_tensor(self._library.Tensor(part, shared_memory=True))

    def take(self, request: Any, first: int, count: int) -> None:
        """Copy what came out: the next run writes over it."""
        found = request.get_output_tensor().data
        if found.shape != (count, *self.result.shape[1:]):
            self.refused = found.shape
            return
        self.result[first : first + count] = found


class PlacesFeed:
    """Frames and priors that go in as places (:class:`Feed`).

    Args:
        packing: of the graph.
        frames: uint8 H×W×3 RGB each, of one size.
        priors: for video; of each frame.

    Attributes:
        result: uint8 N×H×W×3, what came out; undefined until it did.
    """

    def __init__(
        self, packing: Packing, frames: Sequence[Pixels], priors: Sequence[Prior] | None = None
    ) -> None:
        self._packing = packing
        self._parts: list[Sequence[Pixels]] = [frames]
        if priors is not None:
            self._parts += [[p.pixels for p in priors], [p.reliability for p in priors]]
        self.count = len(frames)
        self.result = np.empty((len(frames), *frames[0].shape), np.uint8)
        self._grid = packing.grid(*frames[0].shape[:2])
        self.refused: tuple[int, ...] | None = None

    def shapes(self, count: int) -> list[tuple[int, ...]]:
        """Return those of the frames' places, the priors' and the reliabilities'."""
        channels = (PICTURE, PICTURE, 1)[: len(self._parts)]
        return [(count, *self._grid, each * self._packing.side**2) for each in channels]

    def fill(self, request: Any, first: int, count: int) -> None:
        """Write places into the request's own memory."""
        for part, memory in zip(self._parts, _memory(request, self.shapes(count)), strict=True):
            for into, pixels in zip(memory, part[first : first + count], strict=True):
                self._packing.pack(pixels, into)

    def take(self, request: Any, first: int, count: int) -> None:
        """Turn places into pixels again."""
        found = request.get_output_tensor().data
        expected = (count, *self._grid, PICTURE * self._packing.side**2)
        if found.shape != expected:
            self.refused = found.shape
            return
        for place in range(count):
            self._packing.unpack(found[place], self.result[first + place])


class PlanesFeed(PlacedPlanes):
    """Pictures and priors as codecs hold them, that go in as places (:class:`Feed`)."""

    def fill(self, request: Any, first: int, count: int) -> None:
        """Write places into the request's own memory."""
        self.pack(_memory(request, self.shapes(count)), first, count)

    def take(self, request: Any, first: int, count: int) -> None:
        """Turn places into planes again."""
        self.unpack(request.get_output_tensor().data, first, count)


def _memory(request: Any, shapes: Sequence[tuple[int, ...]]) -> list[Frames]:
    """Return a request's own memory for its inputs."""
    found = []
    for index, shape in enumerate(shapes):
        tensor = request.get_input_tensor(index)
        if tuple(tensor.shape) != shape:  # sizes are free
            tensor.shape = shape
        found.append(tensor.data)
    return found


def _end(end: Any) -> End:
    shape = end.partial_shape
    sizes = () if shape.rank.is_dynamic else tuple(shape)
    kind = end.element_type.to_string()
    return End(
        end.any_name,
        "uint8" if kind == "u8" else kind,
        tuple(size.get_length() if size.is_static else None for size in sizes),
    )
