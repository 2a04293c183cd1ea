"""The sockets that cameras publish at: one an address, for as long as a camera uses it."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from streamderain.config import ZeroMqOutput
from streamderain.errors import ConfigError
from streamderain.writers.zeromq import PublisherSettings, ZeroMqPublisher

__all__ = ["Publishers"]

log = logging.getLogger("streamderain")


@dataclass
class _Shared:
    publisher: ZeroMqPublisher
    kind: tuple[object, ...]
    room: int
    holders: Counter[str] = field(default_factory=Counter)


class Publishers:
    """Lends publishers by address and closes each when the last camera has given it back.

    How many messages may wait for a subscriber is settled when an address is bound: as many as all
    cameras that will share it allow together. It can't be made more later, libzmq 4.3.5 crashes
    where subscribers are connected; so there may be room to spare.

    Args:
        sharing: cameras that will share an address, by address; 1 unless told.
        spare: cameras that may come later to each address of the pattern ``pub``.
    """

    def __init__(self, sharing: Mapping[str, int] | None = None, spare: int = 0) -> None:
        self._lock = threading.Lock()
        self._shared: dict[str, _Shared] = {}
        self._sharing, self._spare = dict(sharing or {}), spare

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

    def lend(self, output: ZeroMqOutput, camera: str) -> ZeroMqPublisher:
        """Return the publisher of an output's address, bound where it isn't yet.

        A camera that is changed has it twice for a moment, and needs no more room for that.

        Raises:
            OutputError: the address is in use or can't be bound.
            InputError: a key can't be read.
            ConfigError: others use the address in another way.
        """
        with self._lock:
            shared = self._shared.get(output.address)
            if shared is None:
                shared = self._shared[output.address] = self._bind(output)
            elif shared.kind != _kind(output):
                raise ConfigError(
                    f"the outputs at {output.address} differ; cameras that share an address share "
                    "all its settings"
                )
            shared.holders[camera] += 1
            if shared.holders[camera] == 1 and len(shared.holders) == shared.room + 1:
                log.warning(
                    "more cameras publish at %s than it was bound for; subscribers may lose "
                    "frames: restart streamderain, or use another address",
                    output.address,
                )
            known = self._sharing.get(output.address, 1)
            self._sharing[output.address] = max(known, len(shared.holders))
            return shared.publisher

    def give_back(self, address: str, camera: str) -> None:
        """Return what was lent once; what nobody needs any more is closed."""
        with self._lock:
            shared = self._shared[address]
            shared.holders[camera] -= 1
            shared.holders = +shared.holders
            if shared.holders:
                return
            del self._shared[address]
        shared.publisher.close()  # takes up to a second, in which the others go on

    def _bind(self, output: ZeroMqOutput) -> _Shared:
        room = self._sharing.get(output.address, 1)
        if output.pattern == "pub":  # a worker's queue would only make its frames older
            room += self._spare
        publisher = ZeroMqPublisher(
            PublisherSettings(
                output.address, pattern=output.pattern,
                high_water_mark=output.high_water_mark * room,
                secret_key=output.curve.secret_key if output.curve else None,
                clients=output.curve.clients if output.curve else None,
            )
        )  # fmt: skip
        return _Shared(publisher, _kind(output), room)


def _kind(output: ZeroMqOutput) -> tuple[object, ...]:
    """What makes two outputs share a socket."""
    return output.pattern, output.curve
