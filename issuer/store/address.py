"""The database URL, taken apart with care: what could switch off verification or leak a password is refused.

PyMySQL's own ssl_* options encrypt without verifying, and SQLAlchemy's URL form of them silently drops the CA file when
two are combined; so TLS is configured in one way only, ``tls_ca``, and always verified with the host name.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_MYSQL_SCHEMES = ("mysql+pymysql", "mysql", "mariadb+pymysql", "mariadb")


@dataclass(frozen=True, slots=True)
class SqliteAddress:
    file: Path


@dataclass(frozen=True, slots=True)
class MysqlAddress:
    """Several hosts are tried in turn. An empty host list with a *socket* means the local UNIX socket."""

    user: str
    hosts: tuple[tuple[str, int], ...]
    database: str
    socket: str = ""


def parse_address(url: str) -> SqliteAddress | MysqlAddress:
    """The address in a ``[database] url``; ValueError with a sentence that never repeats a password."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError("must look like sqlite:////path/file.db or mysql+pymysql://user@host/database")
    if scheme == "sqlite":
        if not rest.startswith("//"):
            raise ValueError(
                "must hold an absolute path after sqlite:// , like sqlite:////var/lib/certfleet/certfleet.db"
            )
        return SqliteAddress(Path(rest[1:]))
    if scheme not in _MYSQL_SCHEMES:
        raise ValueError(f"has the unknown scheme {scheme!r}; sqlite and mysql+pymysql are known")
    return _parse_mysql(rest)


def _parse_mysql(rest: str) -> MysqlAddress:
    # not urlsplit: some releases of it refuse brackets in the middle of a list of hosts
    authority, _, tail = rest.partition("?")[0].partition("/")
    options = dict(parse_qsl(rest.partition("?")[2]))
    if any(option.startswith("ssl") for option in options):
        raise ValueError("must not carry ssl options; name the CA file in tls_ca, it is always verified")
    unknown = set(options) - {"unix_socket", "charset"}
    if unknown:
        raise ValueError(f"carries the unknown options {', '.join(sorted(unknown))}")
    user, _, hosts = authority.rpartition("@")
    if ":" in user:
        raise ValueError("must not hold a password; write it to a file (mode 0600) and name that in password_file")
    database = unquote(tail)
    if not user or not database or "/" in database:
        raise ValueError("must name user and database, like mysql+pymysql://issuer@db.example.com/certfleet")
    socket = options.get("unix_socket", "")
    return MysqlAddress(
        unquote(user), () if socket else tuple(_host(item) for item in hosts.split(",")), database, socket
    )


def _host(item: str) -> tuple[str, int]:
    parts = urlsplit("//" + item)
    try:
        port = parts.port or 3306
    except ValueError as error:
        raise ValueError(f"has a malformed port in {item!r}") from error
    if not parts.hostname:
        raise ValueError("must name a host, like mysql+pymysql://issuer@db.example.com/certfleet")
    return parts.hostname, port
