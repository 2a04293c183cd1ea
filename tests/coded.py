"""Pictures as codecs hold them, made of RGB ones."""

from streamderain.conversion import planes_from_rgb
from streamderain.frame import Colour


def coded(pixels, range="tv", matrix="bt709"):
    """Return planes of a picture of even size, uint8 H×W×3."""
    return planes_from_rgb(pixels, Colour(matrix, range))
