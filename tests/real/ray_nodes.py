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
    """A head and other nodes.

    Args:
        head: cores of the head, by Ray's count.
        cores: of each other node.
        actor: what the class of the actors that work there is called.

    Attributes:
        nodes: those that are well; the first is the head.
    """

    def __init__(self, head=1, cores=1, actor="_Cleaner"):
        self._cores, self._actor = cores, actor
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        self.cluster = Cluster()
        self.nodes = [self._add(head, include_dashboard=False)]

    @property
    def address(self):
        return self.cluster.address

    def fill(self, count):
        """See to it that there are so many nodes."""
        while len(self.nodes) < count:
            self.nodes.append(self._add(self._cores))

    def workers(self, node=None):
        """Return the numbers of the processes that work, of one node or of all."""
        return [
            pid
            for one in ([node] if node else self.nodes)
            for pid in self.processes(one)
            if is_called(pid, self._actor)
        ]

    def processes(self, node):
        """Return the numbers of all processes of a node."""
        return family(node.all_processes["raylet"][0].process.pid)

    def lose(self, node):
        """Kill all of a node at once, as a power cut does; what is left of it, where it is dead."""
        if node in self.nodes:
            self.nodes.remove(node)
        for pid in self.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(Exception):
            self.cluster.remove_node(node, allow_graceful=False)

    def _add(self, cores, **settings):
        """Add a node; on a busy machine Ray itself may give up, and is asked again."""
        end = time.monotonic() + LONG_S
        before = signal.getsignal(signal.SIGTERM)
        while True:
            try:
                return self.cluster.add_node(num_cpus=cores, object_store_memory=STORE, **settings)
            except Exception:
                if time.monotonic() > end:
                    raise
            finally:
                signal.signal(signal.SIGTERM, before)  # Ray takes it for itself
