"""The networks by name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from streamderain.networks import attention

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    name: (lambda name=name: attention.build(name)) for name in attention.CONFIGS
}


def build(name: str) -> nn.Module:
    """Return the network of that name, freshly initialised.

    Raises:
        ValueError: no network has that name.
    """
    if name not in BUILDERS:
        raise ValueError(f"no network is named {name!r}; there are {', '.join(sorted(BUILDERS))}")
    return BUILDERS[name]()
