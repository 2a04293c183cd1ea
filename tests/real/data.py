"""Where real footage is, for the tests that want it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def footage(name: str) -> Path:
    """Return a path in the data folder, or skip the test where it is missing.

    The folder is what the environment variable STREAMDERAIN_DATA names, else ``shared/data``
    beside the checkout.
    """
    folder = Path(os.environ.get("STREAMDERAIN_DATA", ROOT.parent / "shared" / "data"))
    path = folder / name
    if not path.exists():
        pytest.skip(f"{name} is not in {folder}; STREAMDERAIN_DATA names another folder")
    return path
