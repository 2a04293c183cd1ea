"""What the runtimes of ONNX graphs share: which graphs they take, cores, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamderain.errors import ModelError, ModelMemoryError
from streamderain.hardware import usable_cores
from streamderain.inference.backend import PICTURE, VIDEO, Frames
from streamderain.inference.memory import is_out_of_memory
from streamderain.models import INT8, ModelInfo

__all__ = [
    "End",
    "check_result",
    "check_signature",
    "failed",
    "is_int8",
    "one_line",
    "other_size",
    "usable_cores",
]

CHANNELS = 3
"""Of N×H×W×C, which axis has the channels."""


@dataclass(frozen=True)
class End:
    """An input or output of a graph.

    Attributes:
        name: as the graph has it.
        kind: type of its elements; ``uint8`` where they are.
        shape: sizes, None where free.
    """

    name: str
    kind: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = "×".join("free" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.kind} {sizes}"

    def is_frames(self, channels: tuple[int, ...]) -> bool:
        """Say whether it is uint8 N×H×W×C with as many channels."""
        return (
            self.kind == "uint8"
            and len(self.shape) == CHANNELS + 1
            and self.shape[CHANNELS] in channels
        )


def check_signature(info: ModelInfo, inputs: Sequence[End], outputs: Sequence[End]) -> int:
    """Return how many channels a graph takes.

    Raises:
        ModelError: it isn't uint8 N×H×W×3 or ×7 in, N×H×W×3 out, or its sizes aren't free.
    """
    found = ", ".join(map(str, (*inputs, *outputs)))
    fits = len(inputs) == len(outputs) == 1
    if not (fits and inputs[0].is_frames((PICTURE, VIDEO)) and outputs[0].is_frames((PICTURE,))):
        raise ModelError(
            f"{info.path} does not take uint8 frames N×H×W×3 (or ×7, with their past) and give "
            f"N×H×W×3 (it has {found}); put the conversion inside the graph, as the shipped models "
            "do"
        )
    if any(size is not None for size in inputs[0].shape[:CHANNELS]):
        raise ModelError(
            f"{info.path} takes frames of a fixed size only (it has {found}); "
            "export it with batch, height and width free"
        )
    return int(inputs[0].shape[CHANNELS] or 0)


def is_int8(info: ModelInfo) -> bool:
    """Say whether a network's file is one in 8 bits."""
    return info.path is not None and info.path.name.endswith(INT8)


def check_result(name: str, frames: Frames, result: Frames) -> Frames:
    """Return what a graph gave.

    Raises:
        ModelError: its size isn't that of the frames.
    """
    if result.shape != (*frames.shape[:CHANNELS], PICTURE):
        raise other_size(name, frames.shape, result.shape)
    return result


def other_size(name: str, given: Sequence[int], result: Sequence[int]) -> ModelError:
    """Return the sentence about a graph that gives frames of another shape than it takes."""
    return ModelError(
        f"the model {name} gives frames of another size than it takes: "
        f"{tuple(result)} for {tuple(given)}; streamderain needs them equal"
    )


def failed(name: str, shape: Sequence[int], error: Exception) -> ModelError:
    """Return the sentence about a run that failed; of its own kind where memory ran out.

    Args:
        name: of the model.
        shape: of the frames, N×H×W×C.
        error: what the runtime said.
    """
    what = f"on frames of {shape[2]}x{shape[1]} (batch {shape[0]})"
    if is_out_of_memory(error):
        return ModelMemoryError(f"the model {name} ran out of memory {what}")
    return ModelError(f"the model {name} failed {what}: {one_line(error)}")


def one_line(error: Exception) -> str:
    """Return what an error says, in one line of bearable length."""
    return " ".join(str(error).split())[:300] or type(error).__name__
