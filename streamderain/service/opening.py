"""Open the web service of a configuration, where it asks for one and the packages are there."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from streamderain.errors import ConfigError
from streamderain.serviceconfig import ServiceConfig

if TYPE_CHECKING:
    from streamderain.service.server import WebService

__all__ = ["missing_packages", "open_service"]

PACKAGES = {
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
    "prometheus_client": "prometheus-client",
}
"""What is imported, and what pip calls it."""


def missing_packages() -> str | None:
    """Return what to install for the web service, as a sentence, or None where all is there."""
    missing = [name for module, name in PACKAGES.items() if find_spec(module) is None]
    if not missing:
        return None
    return (
        f"the web service needs {', '.join(missing)}; run: pip install 'streamderain[service]', or "
        "leave out 'service' in the configuration"
    )


def open_service(config: ServiceConfig | None) -> WebService | None:
    """Take the service's address, so that nobody else gets it; None where there is no service.

    Raises:
        ConfigError: packages are missing.
        OutputError: the address can't be had.
    """
    if config is None:
        return None
    if missing := missing_packages():
        raise ConfigError(missing)
    from streamderain.service.server import WebService

    return WebService(config)
