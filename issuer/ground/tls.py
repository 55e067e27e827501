"""TLS that verifies chain and host name, always: towards the CA, the database and the mail server."""

import ssl
from pathlib import Path

from common.errors import ConfigError, Finding


def verified_tls(file: Path | None, setting: str) -> ssl.SSLContext:
    """Trusts the CAs of *file*, which *setting* names, or without one the system's. Raises ConfigError.

    To be made once and used for every connection: it reads the whole file.
    """
    try:
        return ssl.create_default_context(cafile=str(file) if file else None)
    except (OSError, ssl.SSLError) as error:
        problem = f"{file} is not a readable file of PEM certificates"
        raise ConfigError("configuration", [Finding(setting, problem)]) from error
