"""Waiting for something to become true, with a limit, instead of sleeping."""

import time


def until(condition, timeout=10.0, step=0.01):
    """Return what ``condition`` gives as soon as it is true; fail after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {timeout:g} s: {condition}"
        time.sleep(step)
