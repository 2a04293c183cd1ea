"""Frames for the tests of what is live: numbered, tiny."""

from fractions import Fraction

import numpy as np

from streamderain.frame import Frame


def live_frame(index, camera="gate", *, size=(4, 6), session=0, bypass=None):
    pixels = np.full((*size, 3), index % 251, np.uint8)
    return Frame(camera, session, index, 3600 * index, Fraction(1, 90000), pixels, bypass=bypass)


def numbers(frames):
    return [frame.index for frame in frames]
