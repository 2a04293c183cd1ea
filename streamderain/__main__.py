"""``python -m streamderain`` is the command ``streamderain``."""

from streamderain.cli import entry

entry()
