"""Takes the rain out of surveillance video, live and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamderain.client import Subscriber

__version__ = "0.1.0"

__all__ = ["Subscriber", "__version__"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that ``import streamderain`` is cheap."""
    if name == "Subscriber":
        from streamderain.client import Subscriber

        return Subscriber
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
