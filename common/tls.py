"""TLS that always verifies chain and host name: towards the CA, the database and the mail server."""

import ssl
from pathlib import Path

from common.errors import ConfigError, Finding


def verified_tls(file: Path | None, setting: str) -> ssl.SSLContext:
    """A context that trusts the CAs of *file*, or the system's without one. *setting* names the file for people. Raises
    ConfigError. Make it once for all connections: it reads the whole file."""
    try:
        return ssl.create_default_context(cafile=str(file) if file else None)
    except (OSError, ssl.SSLError) as error:
        problem = f"{file} is not a readable file of PEM certificates"
        raise ConfigError("configuration", [Finding(setting, problem)]) from error
