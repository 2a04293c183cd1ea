"""Takes the rain out of surveillance video, live and recorded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamderain.api.derainer import Derainer
    from streamderain.api.opening import open_clean
    from streamderain.capture_like import VideoCapture
    from streamderain.client import Subscriber

__version__ = "0.1.0"

__all__ = ["Derainer", "Subscriber", "VideoCapture", "__version__", "open_clean"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that ``import streamderain`` is cheap."""
    homes = {
        "Derainer": "streamderain.api.derainer",
        "Subscriber": "streamderain.client",
        "VideoCapture": "streamderain.capture_like",
        "open_clean": "streamderain.api.opening",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(homes[name]), name)
