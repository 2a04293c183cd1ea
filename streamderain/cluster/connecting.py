"""The connection to a Ray cluster: one clear sentence where there can't be one, and always closed.

``ray.init`` itself waits for minutes, deaf to Ctrl-C, where nobody answers as Ray does. So it is
asked only after what listens at the address has spoken.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from streamderain.errors import ClusterError, UsageError

__all__ = ["AUTO", "LOCAL", "NAMESPACE", "connected", "speaks_grpc", "split_address"]

AUTO, LOCAL = "auto", "local"
"""Addresses: of the cluster that runs on this machine; of one that is made for this run."""

NAMESPACE = "streamderain"
"""Of named actors in a cluster that others use as well."""

ANSWERS_S = 10.0
"""How long what listens at an address may take to speak."""

LOCAL_STORE = 100 << 20
"""Bytes of the object store of a cluster of this machine alone: frames don't go through it."""

_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What gRPC, which Ray speaks, begins with: HTTP/2's preface and empty settings (RFC 9113, 3.4)."""
_SETTINGS = 4


@contextmanager
def connected(
    address: str, *, namespace: str = NAMESPACE, deadline_s: float = ANSWERS_S, **options: Any
) -> Iterator[ModuleType]:
    """Connect this process to a Ray cluster, and take it away again at the end of the ``with``.

    Signal handlers of this process are left as they are; Ray's own lines go to its log files.

    Args:
        address: ``auto`` (that of ``RAY_ADDRESS``, else the one that runs here), ``HOST:PORT`` of
            a running cluster of which this machine is a node, or ``local`` for a cluster of this
            machine alone that ends with the ``with``.
        namespace: of named actors.
        deadline_s: how long what listens at the address may take to answer, seconds.
        options: more for ``ray.init``, such as ``num_cpus`` of a ``local`` cluster.

    Yields:
        The module ``ray``, connected.

    Raises:
        UsageError: that is no address.
        ClusterError: Ray isn't installed or is another version than the cluster's, nobody answers,
            this machine is no node of the cluster, or this process is connected already; or, within
            the ``with``, the cluster is gone.
    """
    if address not in (AUTO, LOCAL):
        split_address(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers otherwise
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "Ray is not installed; pip install 'streamderain[ray]', on every node of the cluster"
        ) from error
    if ray.is_initialized():
        raise ClusterError("this process is connected to a Ray cluster already; leave that first")
    found = _found(address, deadline_s)
    if found == LOCAL:
        options = {"include_dashboard": False, "object_store_memory": LOCAL_STORE} | options
    with _signals_kept():
        try:
            ray.init(
                address=found, namespace=namespace, logging_level=logging.ERROR,
                log_to_driver=False, **options,
            )  # fmt: skip
        except Exception as error:
            ray.shutdown()
            raise ClusterError(_explained(found, error)) from error
    try:
        with _hushed():
            yield ray
    except ray.exceptions.RayError as error:
        raise ClusterError(
            f"the Ray cluster doesn't answer any more ({type(error).__name__}); see 'ray status' "
            "on its head"
        ) from error
    finally:
        ray.shutdown()


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``.

    Raises:
        UsageError: it is no such address.
    """
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port) or "/" in host or not int(port) < 65536:
        raise UsageError(
            f"{address!r} is no address of a Ray cluster; those are auto, local, and HOST:PORT as "
            "'ray start --head' tells"
        )
    return host.strip("[]"), int(port)


def speaks_grpc(host: str, port: int, deadline_s: float = ANSWERS_S) -> str | None:
    """Return None where a gRPC server answers, which Ray is; else what is wrong, in a few words.

    Args:
        host, port: where.
        deadline_s: how long connecting and each answer may take, seconds.
    """
    try:
        with socket.create_connection((host, port), deadline_s) as connection:
            connection.settimeout(deadline_s)
            connection.sendall(_HELLO)
            heard = b""
            while len(heard) < 4 and (more := connection.recv(64)):
                heard += more
    except socket.gaierror:
        return f"the name {host} isn't known"
    except TimeoutError:
        return f"nobody answers within {deadline_s:g} s"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    if len(heard) < 4 or heard[3] != _SETTINGS:
        return "what listens there isn't Ray"
    return None


def _found(asked: str, deadline_s: float) -> str:
    """Return what Ray is to be asked for, after making sure that somebody answers there."""
    address = asked
    if address == LOCAL:
        return LOCAL
    if address == AUTO:
        from ray._private import services

        try:
            here = os.environ.get("RAY_ADDRESS") or services.canonicalize_bootstrap_address(AUTO)
        except ConnectionError as error:
            raise ClusterError(
                "no Ray cluster runs on this machine; start one with 'ray start --head', name its "
                "address, or say 'local' for one of this machine alone"
            ) from error
        if here is None or here in (AUTO, LOCAL):
            return LOCAL
        address = here
    _check(address, deadline_s)
    # Ray shows the token of this machine's clusters only to one that it has found itself.
    return AUTO if asked == AUTO else address


def _check(address: str, deadline_s: float) -> None:
    """Make sure that a cluster answers at an address, and that this machine is a node of it."""
    host, port = split_address(address)
    wrong = None if os.environ.get("RAY_USE_TLS") == "1" else speaks_grpc(host, port, deadline_s)
    if wrong is not None:
        raise ClusterError(
            f"no Ray cluster is at {address}: {wrong}; 'ray start --head' tells the address, and "
            "'ray status' there whether it runs"
        )
    from ray._private import services

    if not services.find_node_ids():  # type: ignore[no-untyped-call]  # looked for during a minute
        raise ClusterError(
            f"this machine is no node of the Ray cluster at {address}; make it one with "
            f"'ray start --address={address} --num-cpus=0'"
        )


def _explained(address: str, error: Exception) -> str:
    """Put what Ray said into a sentence."""
    text = str(error)
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", text)
    if len(versions) == 2:
        (ray, python), (our_ray, our_python) = versions
        return (
            f"the Ray cluster at {address} runs Ray {ray} on Python {python}, and this is Ray "
            f"{our_ray} on Python {our_python}; install the same on all machines"
        )
    first = next(iter(text.strip().splitlines()), type(error).__name__).rstrip(". ")
    return (
        f"the Ray cluster at {address} can't be joined ({first}); see 'ray status' there, and "
        "where it has a token ('ray start' takes ~/.ray/auth_token if that is there) set "
        "RAY_AUTH_MODE=token here"
    )


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what Ray tells of lost nodes from standard output, which may be read by a program.

    It is written there whatever ``log_to_driver`` says; the debugger of Ray hushes it so as well.
    """
    from ray._private import worker

    before = getattr(worker, "_worker_logs_enabled", True)
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; whoever connects has a use for it already."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
