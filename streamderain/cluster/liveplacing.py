"""Which cameras share a worker, and what of a configuration can't be spread: pure.

Which node takes a worker is Ray's to choose, by what the worker asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from streamderain.config import CameraConfig, RtspOutput, RunConfig, ZeroMqOutput
from streamderain.errors import ConfigError

__all__ = [
    "advertised", "check_spreadable", "configuration_of", "groups", "local_notes", "secrets_of",
    "sockets",
]  # fmt: skip

ANY_HOST = ("0.0.0.0", "*", "[::]")
"""Of an address that is bound on all of a machine's networks."""

LOOPBACK = ("127.", "localhost", "[::1]")


def groups(cameras: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """Return which cameras run together: as few groups as can be, as even as can be, in order.

    Args:
        cameras: ids.
        most: cameras a worker holds at most, 1 or more.
    """
    count = -(-len(cameras) // most)
    size, larger = divmod(len(cameras), max(1, count))
    found, begin = [], 0
    for number in range(count):
        end = begin + size + (number < larger)
        found.append(tuple(cameras[begin:end]))
        begin = end
    return found


def check_spreadable(config: RunConfig) -> None:
    """Refuse what can't be spread over nodes.

    Raises:
        ConfigError: a sentence for each thing.
    """
    if problems := list(dict.fromkeys(_problems(config))):
        raise ConfigError("\n".join(problems))


def local_notes(config: RunConfig) -> list[str]:
    """Return a sentence for each thing that means another machine wherever a camera runs."""
    notes = []
    for name, _, output in _outputs(config):
        if not _is_loopback(output.address):
            continue
        if isinstance(output, ZeroMqOutput):
            notes.append(
                f"what is published at {output.address} can be read on its own node alone; write "
                "tcp://0.0.0.0:5555 for other machines"
            )
        else:
            notes.append(
                f"{output.target(name).shown} is on whatever node the camera runs; name the "
                "server's own address instead of 127.0.0.1"
            )
    if _is_loopback(config.cluster.book):
        notes.append(
            f"the address book at {config.cluster.book} can be read on this machine alone; write "
            "tcp://0.0.0.0:5550 for others"
        )
    return list(dict.fromkeys(notes))


def secrets_of(config: RunConfig) -> list[str]:
    """Return the texts of a configuration that must not be seen anywhere."""
    found: list[str] = []
    for name in config.cameras:
        found += config.camera(name).parsed.secrets
    for name, _, output in _outputs(config):
        if isinstance(output, RtspOutput):
            found += output.target(name).secrets
    return list(dict.fromkeys(found))


def sockets(config: RunConfig) -> list[str]:
    """Return the addresses at which cameras publish over ZeroMQ, each once."""
    found = [output.address for _, _, output in _outputs(config) if output.type == "zeromq"]
    return list(dict.fromkeys(found))


def configuration_of(
    config: RunConfig, cameras: Iterable[str], ports: Mapping[str, int] | None = None
) -> RunConfig:
    """Return what one worker runs.

    Args:
        config: of all.
        cameras: ids of its own.
        ports: those to take instead of the ports of the addresses; None leaves them.
    """
    own = {
        name: _at_ports(config.camera(name), ports) if ports else config.camera(name)
        for name in cameras
    }
    return config.model_copy(update={"cameras": own, "service": None})


def advertised(bound: str, node: str) -> str:
    """Return the address to connect to for one that is bound, on a node's own address."""
    scheme, _, rest = bound.partition("://")
    host, _, port = rest.rpartition(":")
    if host not in ANY_HOST:
        return bound
    return f"{scheme}://{f'[{node}]' if ':' in node else node}:{port}"


def _at_ports(camera: CameraConfig, ports: Mapping[str, int]) -> CameraConfig:
    outputs = [
        output.model_copy(
            update={"address": f"{output.address.rpartition(':')[0]}:{ports[output.address]}"}
        )
        if isinstance(output, ZeroMqOutput)
        else output
        for output in camera.outputs
    ]
    return camera.model_copy(update={"outputs": outputs})


def _problems(config: RunConfig) -> Iterator[str]:
    cluster = config.cluster
    if config.service is not None:
        yield (
            "service: a cluster has no web service; leave it out and read each camera's state and "
            "place in the address book (streamderain listen --book)"
        )
    if config.device == "cuda" and not cluster.gpus:
        yield (
            "cluster.gpus: device is cuda, but workers ask for no GPU and would see none; say how "
            "much of one each takes, such as gpus: 0.5"
        )
    for name, key, output in _outputs(config):
        if not isinstance(output, ZeroMqOutput):
            continue
        if output.address.startswith("ipc:"):
            yield (
                f"{key}: {output.address} can't be reached from other nodes (camera {name}); write "
                "tcp://0.0.0.0:5555, the address book says which port it gets"
            )
        elif output.curve != cluster.curve:
            yield (
                f"cluster.curve: {output.address} and the address book have different keys, but "
                "subscribers show both the same; give both the same curve"
            )


def _outputs(config: RunConfig) -> Iterator[tuple[str, str, ZeroMqOutput | RtspOutput]]:
    """Give the outputs that have an address, with camera and key."""
    for name in config.cameras:
        own = "outputs" in config.cameras[name].model_fields_set
        for number, output in enumerate(config.camera(name).outputs):
            key = f"cameras.{name}.outputs[{number}]" if own else f"defaults.outputs[{number}]"
            if isinstance(output, ZeroMqOutput | RtspOutput):
                yield name, key, output


def _is_loopback(address: str) -> bool:
    return address.partition("://")[2].rpartition("@")[2].startswith(LOOPBACK)
