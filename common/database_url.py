"""The URL of a database, taken apart. A part that could switch off verification or leak a password is refused.

PyMySQL's own ssl_* options encrypt without verifying, and SQLAlchemy's URL form of them silently drops the CA file when
two are combined. So TLS is configured in one way only, ``tls_ca``, and always verified with the host name.
"""

from pathlib import Path
from urllib.parse import parse_qsl, unquote

from common.dataclasses import dataclass
from common.endpoint import parse_endpoint

_MYSQL_SCHEMES = ("mysql+pymysql", "mysql", "mariadb+pymysql", "mariadb")


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    """A file by its absolute path."""

    file: Path


@dataclass(frozen=True, slots=True)
class MysqlAddress:
    """*hosts* are (host, port); there are none with a *socket*, a UNIX socket of this machine."""

    user: str
    hosts: tuple[tuple[str, int], ...]
    database: str
    socket: str = ""

    def __str__(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in self.hosts) or self.socket


def parse_database_url(url: str) -> SqliteAddress | MysqlAddress:
    """The address in *url*. Raises ValueError with a sentence that never repeats a password."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in _MYSQL_SCHEMES:
        return _mysql(rest)
    if not separator or scheme != "sqlite":
        fault = f"has the unknown scheme {scheme!r}; it " if separator else ""
        raise ValueError(f"{fault}must look like sqlite:////folder/file.db or mysql://user@host/database")
    if not rest.startswith("//") or "?" in rest:
        raise ValueError("needs an absolute path and nothing else, which makes four slashes: sqlite:////folder/file.db")
    return SqliteAddress(Path(unquote(rest[1:])))


def _mysql(rest: str) -> MysqlAddress:
    # not urlsplit: some releases of it refuse brackets in the middle of a list of hosts
    place, _, query = rest.partition("?")
    authority, _, database = place.partition("/")
    user, _, hosts = authority.rpartition("@")
    if ":" in user or (":" in authority and "@" in query):
        raise ValueError("must not hold a password; write it to a file (mode 0600) and name that in password_file")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if any(option.startswith("ssl") for option in options):
        raise ValueError("must not carry ssl options: TLS is always verified; name the CA file in tls_ca")
    unknown = sorted(options.keys() - {"unix_socket", "charset"})
    if unknown:
        raise ValueError(f"carries the unknown option {unknown[0]!r}; only unix_socket is of use")
    socket = options.get("unix_socket", "")
    if not user or not database or "/" in unquote(database) or not (hosts or socket):
        raise ValueError("must name user, host and database, like mysql://user@db.example.com/certfleet")
    each = () if socket else tuple(parse_endpoint(item, 3306) for item in hosts.split(","))
    return MysqlAddress(unquote(user), each, unquote(database), socket)
