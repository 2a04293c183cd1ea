"""Tables as text, as wide as the terminal allows."""

from __future__ import annotations

import io
import shutil

from rich.console import Console, RenderableType

__all__ = ["as_text", "columns"]

WIDEST = 120
"""Columns of a table on a wide terminal; more than that is hard to read across."""


def columns() -> int:
    """Return how wide a text may be."""
    return min(WIDEST, shutil.get_terminal_size((100, 24)).columns)


def as_text(renderable: RenderableType) -> str:
    """Render without colour, as wide as the terminal allows; words in brackets stay."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=columns(), color_system=None, markup=False, emoji=False, highlight=False
    )
    console.print(renderable)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    return "\n".join(lines).strip("\n")
