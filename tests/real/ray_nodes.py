"""A Ray cluster of several nodes on this machine, of which any can be lost."""

import contextlib
import os
import signal
import time
from pathlib import Path

STORE = 80 * 2**20
LONG_S = 120.0


def family(pid):
    """Return a process and all that it started, by number."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found += family(int(child))
    return found


def is_called(pid, word):
    """Whether a process names itself so; Ray's actors do, by their class."""
    with contextlib.suppress(OSError):
        return word in Path(f"/proc/{pid}/cmdline").read_text()
    return False


class Nodes:
    """A head and other nodes, each with one core.

    Attributes:
        nodes: those that are well; the first is the head.
    """

    def __init__(self):
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()
        self.nodes = [self._add(include_dashboard=False)]

    @property
    def address(self):
        return self.cluster.address

    def fill(self, count):
        """See to it that there are so many nodes."""
        while len(self.nodes) < count:
            self.nodes.append(self._add())

    def workers(self, node=None):
        """Return the numbers of the processes that clean."""
        return [
            pid
            for one in ([node] if node else self.nodes)
            for pid in family(one.all_processes["raylet"][0].process.pid)
            if is_called(pid, "_Cleaner")
        ]

    def lose(self, node):
        """Kill all of a node at once, as a power cut does."""
        self.nodes.remove(node)
        for pid in family(node.all_processes["raylet"][0].process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            self.cluster.remove_node(node, allow_graceful=False)

    def _add(self, **settings):
        """Add a node; on a busy machine Ray itself may give up, and is asked again."""
        end = time.monotonic() + LONG_S
        while True:
            try:
                return self.cluster.add_node(num_cpus=1, object_store_memory=STORE, **settings)
            except Exception:
                if time.monotonic() > end:
                    raise
