"""Everything that streamderain raises on purpose.

::

    StreamderainError              exit code 1
    ├── UsageError                 exit code 2: the command line or an argument makes no sense
    │   └── ConfigError            a configuration file is wrong
    ├── InputError                 a source is missing, unreadable or not what it claims to be
    ├── EvidenceError              a video isn't what its evidence says, or that can't be trusted
    ├── OutputError                a target can't be written (exists, no permission, disk full)
    ├── ModelError                 a network is missing or doesn't fit
    │   ├── ModelMemoryError       a run asked for more memory than there is
    │   └── UnknownModelError      exit code 2: none has that name
    ├── ClusterError               no Ray cluster is where it should be, or none that will do
    ├── WireError                  a message that a subscriber got is not one of ours
    ├── UnknownCameraError         no camera of that name runs
    ├── CameraExistsError          one does, and only a new one was wanted
    └── Interrupted                exit code 130: the user asked to stop

The message of each is one sentence or two: what is wrong, where, and what to do about it.
"""

from __future__ import annotations

__all__ = [
    "CameraExistsError",
    "ClusterError",
    "ConfigError",
    "EvidenceError",
    "InputError",
    "Interrupted",
    "ModelError",
    "ModelMemoryError",
    "OutputError",
    "StreamderainError",
    "UnknownCameraError",
    "UnknownModelError",
    "UsageError",
    "WireError",
]


class StreamderainError(Exception):
    """Base of all; ``exit_code`` is what the command line ends with."""

    exit_code = 1


class UsageError(StreamderainError):
    """The command line or an argument makes no sense."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file is wrong."""


class InputError(StreamderainError):
    """A source is missing, unreadable or not what it claims to be."""


class EvidenceError(StreamderainError):
    """A video isn't what its evidence says, or the evidence isn't to be trusted."""


class OutputError(StreamderainError):
    """A target can't be written: it exists, no permission, no room."""


class ModelError(StreamderainError):
    """A network is missing, broken, or not of the shape that streamderain runs."""


class ModelMemoryError(ModelError):
    """A run of the network asked for more memory than there is; a smaller one may fit."""


class UnknownModelError(ModelError):
    """No network has that name: wrong usage, where a file that is missing is a missing input."""

    exit_code = 2


class ClusterError(StreamderainError):
    """A Ray cluster isn't where it should be, doesn't fit, or has no room."""


class WireError(StreamderainError):
    """A message is damaged, foreign, or of a newer version."""


class UnknownCameraError(StreamderainError):
    """No camera of that name runs."""


class CameraExistsError(StreamderainError):
    """A camera of that name runs already, and only a new one was wanted."""


class Interrupted(StreamderainError):  # noqa: N818 - nothing went wrong
    """The user asked to stop."""

    exit_code = 130
