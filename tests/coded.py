"""Pictures as codecs hold them, made of RGB ones."""

from streamderain.colour import from_rgb, planes_of
from streamderain.frame import Colour


def coded(pixels, range="tv", matrix="bt709"):
    """Return planes of a picture of even size, uint8 H×W×3."""
    colour = Colour(matrix, range)
    planes = planes_of(from_rgb(pixels, colour, "yuv420p"), colour)
    assert planes is not None
    return planes
