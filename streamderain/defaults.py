"""Which networks are taken unless one is named."""

from __future__ import annotations

__all__ = ["LIVE_MODEL", "PICTURE_MODEL", "VIDEO_MODEL"]

VIDEO_MODEL = "video-m"
"""For recordings."""

PICTURE_MODEL = "attention-m"
"""For pictures, which have no past."""

LIVE_MODEL = "video-s"
"""For live cameras, on the machine at hand."""
