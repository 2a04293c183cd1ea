"""How near networks in 8 bits come to those in floats, on the processor that there is."""

from streamderain.hardware import features_here
from streamderain.inference.precision import overflows

MEAN_APART = 2 if overflows(features_here()) else 1
"""Levels; sums of bytes that overflow do so at other places in another graph."""
