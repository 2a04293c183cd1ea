"""Pictures that carry a number which survives encoding: which frame is it, and how old?"""

import numpy as np

BITS = 16
CELL = 8


def numbered(number, height=240, width=320):
    """A grey picture with a number in two rows of black and white cells; uint8 H×W×3."""
    assert height >= 2 * CELL and width >= BITS // 2 * CELL
    picture = np.full((height, width, 3), 90 + number % 40, np.uint8)
    for bit in range(BITS):
        row, column = divmod(bit, BITS // 2)
        level = 235 if number >> bit & 1 else 16
        picture[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = level
    return picture


def number_of(pixels):
    """Read it again, from RGB or luma."""
    grey = pixels if pixels.ndim == 2 else pixels.mean(axis=2)
    found = 0
    for bit in range(BITS):
        row, column = divmod(bit, BITS // 2)
        middle = grey[
            row * CELL + 2 : (row + 1) * CELL - 2, column * CELL + 2 : (column + 1) * CELL - 2
        ]
        found |= int(middle.mean() > 125) << bit
    return found
