"""Where things of the scene are seen: a camera six metres up, looking level across the road."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FACADE_Z", "REFERENCE_SIZE", "View"]

REFERENCE_SIZE = 360, 640
"""Height and width of the picture that the scene is composed for."""

FACADE_Z = 20.0
"""Distance of the houses across the road, in metres; all others are between them and the camera."""

_CAMERA_HEIGHT = 6.0
_FOCAL = 420.0
_HORIZON = 40.0


@dataclass(frozen=True)
class View:
    """Projects metres to pixels.

    Attributes:
        scale: pixels for each pixel of the reference picture.
        left, top: what is cut off there, in pixels.
    """

    scale: float
    left: float = 0.0
    top: float = 0.0

    def row(self, z: float) -> float:
        """Return the row of the ground at a distance."""
        return (_HORIZON + _FOCAL * _CAMERA_HEIGHT / z) * self.scale - self.top

    def column(self, x: float, z: float) -> float:
        """Return the column of a place ``x`` metres to the right of the middle."""
        return (REFERENCE_SIZE[1] / 2 + x * _FOCAL / z) * self.scale - self.left

    def per_metre(self, z: float) -> float:
        """Return how many pixels a metre is at a distance."""
        return _FOCAL / z * self.scale

    def half_width(self, z: float) -> float:
        """Return how many metres are seen on each side of the middle."""
        return REFERENCE_SIZE[1] / 2 * z / _FOCAL
