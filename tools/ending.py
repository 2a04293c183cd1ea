"""How a tool ends that can't do what it is asked: as the commands do."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable

from streamderain.errors import StreamderainError

__all__ = ["ends_in_a_sentence"]

Main = Callable[[list[str] | None], int]


def ends_in_a_sentence(main: Main) -> Callable[..., int]:
    """Have errors of ours print their sentence and become the exit code of a ``main``."""

    @functools.wraps(main)
    def run(arguments: list[str] | None = None) -> int:
        try:
            return main(arguments)
        except StreamderainError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code

    return run
