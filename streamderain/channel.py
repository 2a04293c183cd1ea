"""A bounded queue between two stages that can be closed from either end."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

__all__ = ["Cancelled", "Channel"]


class Cancelled(Exception):  # noqa: N818 - not an error: the other side has gone
    """The channel was cancelled; the stage has nothing more to do."""


class Channel(Generic[T]):
    """Hands items from one thread to another, at most ``capacity`` under way.

    Usage::

        channel = Channel[Frame](capacity=8)
        channel.put(frame)      # waits while full
        channel.close()         # nothing more will come
        for frame in channel:   # in the other thread, ends after the last
            ...

    After :meth:`cancel` both sides get :class:`Cancelled` at once and what was under way is
    dropped.

    Raises:
        ValueError: ``capacity`` is below 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a channel needs a capacity of at least 1")
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._cancelled = False

    def put(self, item: T) -> None:
        """Add an item, waiting while the channel is full.

        Raises:
            Cancelled: the channel was cancelled.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()

    def close(self) -> None:
        """Say that nothing more will be put; what is under way still arrives."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drop what is under way and wake both sides."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Channel[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or self._closed or bool(self._items))
            if self._cancelled:
                raise Cancelled
            if not self._items:
                raise StopIteration
            item = self._items.popleft()
            self._changed.notify_all()
            return item
