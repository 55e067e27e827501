"""From ``[source]`` of agent.toml to a source; what its URL may say is decided here."""

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from agent.journey.ports import Source
from agent.settings.config import SourceSettings
from agent.source.mysql import MysqlAddress, MysqlSource
from agent.source.sqlite import SqliteSource
from common.errors import ConfigError, Finding
from common.files import read_password

_MYSQL_SCHEMES = {"mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql"}


def open_source(settings: SourceSettings, config_file: Path) -> Source:
    """The source that *settings* name; nothing is connected yet. ConfigError if the URL cannot be meant."""
    try:
        url = urlsplit(settings.url)
        if url.scheme == "sqlite":
            return SqliteSource(_sqlite_file(url))
        if url.scheme in _MYSQL_SCHEMES:
            return MysqlSource(_mysql_address(url, settings))
        if url.scheme == "https":
            raise ValueError("a static https:// source is a later feature; use mysql:// or sqlite:// for now")
        raise ValueError("must start with mysql://, mariadb:// or sqlite:///")
    except ValueError as error:
        finding = Finding("source.url", str(error))
        hint = "write it like mysql://agent-web1@db.example.com/certfleet or sqlite:////var/lib/certfleet/certfleet.db"
        raise ConfigError(str(config_file), [finding], hint=hint) from error


def own_files(settings: SourceSettings) -> tuple[Path, ...]:
    """The files of this host that the source that *settings* name reads."""
    url = urlsplit(settings.url)
    database = _sqlite_file(url) if url.scheme == "sqlite" else None
    return tuple(file for file in (database, settings.password_file, settings.tls_ca) if file is not None)


def _sqlite_file(url: SplitResult) -> Path:
    file = Path(unquote(url.path.removeprefix("/")))
    if url.netloc or url.query or not file.is_absolute():
        raise ValueError("needs an absolute path, which makes four slashes: sqlite:////folder/file.db")
    return file


def _mysql_address(url: SplitResult, settings: SourceSettings) -> MysqlAddress:
    database = unquote(url.path.removeprefix("/"))
    options = dict(parse_qsl(url.query, keep_blank_values=True))
    unix_socket = options.pop("unix_socket", "")
    if any(option.startswith("ssl") for option in options):
        raise ValueError("takes no ssl options: TLS is always verified; name the CA with tls_ca")
    if options:
        raise ValueError(f"the option {sorted(options)[0]!r} is not known; only unix_socket is")
    if url.password is not None:
        raise ValueError("must not carry a password; put it into a file and name that with password_file")
    if "," in url.netloc.rpartition("@")[2]:
        raise ValueError("must name one host: an agent has one server to ask, and asks it again in its next run")
    if not url.username or not database or "/" in database or not (url.hostname or unix_socket):
        raise ValueError("must name user, host and database: mysql://USER@HOST[:PORT]/DATABASE")
    return MysqlAddress(
        host=url.hostname or "",
        port=url.port or 3306,
        user=unquote(url.username),
        database=database,
        unix_socket=unix_socket,
        password=read_password(settings.password_file) if settings.password_file is not None else "",
        tls_ca=settings.tls_ca,
    )
