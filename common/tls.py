"""TLS that always verifies chain and host name: towards the CA, the database and the mail server."""

import ssl
from pathlib import Path

from common.errors import ConfigError, Finding
from common.files import opened_regular


def trusting(file: Path | None) -> ssl.SSLContext:
    """A context that trusts the CAs of *file*; without one, those of the system. Raises OSError where *file* is not a
    readable regular file, ssl.SSLError (an OSError too) where it holds no certificate."""
    if file is None:
        return ssl.create_default_context()
    with opened_regular(file) as path:
        return ssl.create_default_context(cafile=path)


def verified_tls(file: Path | None, setting: str) -> ssl.SSLContext:
    """The context of :func:`trusting`, for a *file* that a setting names. *setting*: its path in the configuration.
    Raises ConfigError. Make it once for all connections: it reads the whole file."""
    try:
        return trusting(file)
    except OSError as error:
        problem = f"{file} is not a readable file of PEM certificates"
        raise ConfigError("configuration", [Finding(setting, problem)]) from error
