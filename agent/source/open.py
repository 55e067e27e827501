"""From ``[source]`` of agent.toml to a source."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.host.waits import Waits
from agent.settings.config import SourceSettings
from common.database_url import SqliteAddress, parse_database_url
from common.errors import ConfigError, Finding
from common.files import read_password

if TYPE_CHECKING:
    from agent.source.mysql import MysqlSource
    from agent.source.sqlite import SqliteSource


def open_source(
    settings: SourceSettings, config_file: Path, waits: Waits | None = None
) -> "MysqlSource | SqliteSource":
    """The source that *settings* name; nothing is connected yet. ConfigError if the URL cannot be meant."""
    try:
        if settings.url.startswith("https://"):
            raise ValueError("a static https:// source is a later feature; use mysql:// or sqlite:// for now")
        address = parse_database_url(settings.url)
        if isinstance(address, SqliteAddress):
            from agent.source.sqlite import SqliteSource  # noqa: PLC0415 - a host pays for its own source's library only

            return SqliteSource(address.file, waits or Waits())
        if len(address.hosts) > 1:
            raise ValueError("must name one host: an agent has one server to ask, and asks it again in its next run")
    except ValueError as error:
        finding = Finding("source.url", str(error))
        hint = "write it like mysql://agent-web1@db.example.com/certfleet or sqlite:////var/lib/certfleet/certfleet.db"
        raise ConfigError(str(config_file), [finding], hint=hint) from error
    password = read_password(settings.password_file) if settings.password_file is not None else ""
    with _without("cryptography"):
        from agent.source.mysql import MysqlSource  # noqa: PLC0415

    return MysqlSource(address, password, settings.tls_ca, waits or Waits())


def own_files(settings: SourceSettings) -> tuple[Path, ...]:
    """The files of this host that the source that *settings* name reads."""
    inputs = (database_file(settings), settings.password_file, settings.tls_ca)
    return tuple(file for file in inputs if file is not None)


def database_file(settings: SourceSettings) -> Path | None:
    """The SQLite database that *settings* name; None for a server, and for an URL that :func:`open_source` refuses."""
    try:
        address = parse_database_url(settings.url)
    except ValueError:
        return None
    return address.file if isinstance(address, SqliteAddress) else None


@contextlib.contextmanager
def _without(library: str) -> Iterator[None]:
    """Have nothing import *library* meanwhile, unless somebody has before.

    PyMySQL imports cryptography if it can, for passwords over plain text: 0.06 s for what never happens here.
    """
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]  # an import of it then fails
    try:
        yield
    finally:
        del sys.modules[library]
