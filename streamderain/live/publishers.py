"""The sockets that cameras publish at: one an address, for as long as a camera uses it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from streamderain.config import ZeroMqOutput
from streamderain.errors import ConfigError
from streamderain.writers.zeromq import PublisherSettings, ZeroMqPublisher

__all__ = ["Publishers"]


@dataclass
class _Shared:
    publisher: ZeroMqPublisher
    kind: tuple[object, ...]
    high_water_mark: int
    holders: int = 0


class Publishers:
    """Lends publishers by address and closes each when the last camera has given it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shared: dict[str, _Shared] = {}

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses that were asked for, and what they are really bound to."""
        with self._lock:
            return {asked: shared.publisher.address for asked, shared in self._shared.items()}

    def is_bound_otherwise(self, output: ZeroMqOutput) -> bool:
        """Whether an output's address is in use with settings that it doesn't share."""
        with self._lock:
            shared = self._shared.get(output.address)
            return shared is not None and shared.kind != _kind(output)

    def lend(self, output: ZeroMqOutput) -> ZeroMqPublisher:
        """Return the publisher of an output's address, bound where it isn't yet.

        As many messages may wait for a subscriber as all cameras at the address together allow.

        Raises:
            OutputError: the address is in use or can't be bound.
            InputError: a key can't be read.
            ConfigError: others use the address in another way.
        """
        with self._lock:
            shared = self._shared.get(output.address)
            if shared is None:
                publisher = ZeroMqPublisher(
                    PublisherSettings(
                        output.address, pattern=output.pattern,
                        high_water_mark=output.high_water_mark,
                        secret_key=output.curve.secret_key if output.curve else None,
                        clients=output.curve.clients if output.curve else None,
                    )
                )  # fmt: skip
                shared = _Shared(publisher, _kind(output), output.high_water_mark)
                self._shared[output.address] = shared
            elif shared.kind != _kind(output):
                raise ConfigError(
                    f"the outputs at {output.address} differ; cameras that share an address share "
                    "all its settings"
                )
            shared.holders += 1
            shared.high_water_mark = output.high_water_mark
            shared.publisher.allow(shared.high_water_mark * shared.holders)
            return shared.publisher

    def give_back(self, address: str) -> None:
        """Return what was lent once; what nobody needs any more is closed."""
        with self._lock:
            shared = self._shared[address]
            shared.holders -= 1
            if shared.holders:
                shared.publisher.allow(shared.high_water_mark * shared.holders)
                return
            del self._shared[address]
        shared.publisher.close()  # takes up to a second, in which the others go on


def _kind(output: ZeroMqOutput) -> tuple[object, ...]:
    """What makes two outputs share a socket."""
    return output.pattern, output.curve
