"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torch import Tensor, nn

from streamderain.networks import (
    attention,
    attention_embedding,
    dtpnet,
    dualstage,
    msdrnet,
    video,
)

__all__ = ["BUILDERS", "Restorer", "build"]


class Restorer(Protocol):
    """What every network offers beside :meth:`torch.nn.Module.forward`.

    Attributes:
        multiple: sides of what :meth:`restore` takes are multiples of it.
        inputs: channels of what goes in.
    """

    multiple: int
    inputs: int

    def restore(self, rainy: Tensor) -> Tensor:
        """Derain float N×3×H×W in [0, 1] of fitting size; not clamped."""
        ...


FAMILIES = (attention, video, attention_embedding, dtpnet, msdrnet, dualstage)
"""Modules with ``CONFIGS`` by name and a ``build``."""

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    name: partial(family.build, name) for family in FAMILIES for name in family.CONFIGS
}


def build(name: str) -> nn.Module:
    """Return the network of that name, freshly initialised.

    Raises:
        ValueError: no network has that name.
    """
    if name not in BUILDERS:
        raise ValueError(f"no network is named {name!r}; there are {', '.join(sorted(BUILDERS))}")
    return BUILDERS[name]()
