"""``with`` for whatever has a ``close()``."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

__all__ = ["Closable", "ClosesAtExit"]


class Closable(Protocol):
    """Holds something that is let go by :meth:`close`, or at the end of a ``with``."""

    def close(self) -> None:
        """Let go; harmless twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...  # fmt: skip


class ClosesAtExit:
    """Gives a class with a ``close()`` its ``with``."""

    def close(self) -> None:
        """Let go; harmless twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()
