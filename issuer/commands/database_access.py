"""db tls, db grants: everything that lets agents into a MySQL or MariaDB server, and nobody else."""

import argparse
import os
import re
import secrets
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.command_line import complain, say
from common.config_file import load
from common.database_url import MysqlAddress, SqliteAddress, parse_database_url
from common.errors import ConfigError, Finding, UsageError
from common.files import create_new, read_password
from common.owners import owner_ids
from issuer.model.config import Settings
from issuer.store.server_tls import hosts_of, make

_ACCOUNT = "mysql"  # of the server's process, wherever it comes in a package
_LINES = """\
# on the database server, for example in /etc/mysql/mariadb.conf.d/60-certfleet.cnf; then restart it
[mysqld]
ssl_ca   = {files.ca}
ssl_cert = {files.certificate}
ssl_key  = {files.key}
require_secure_transport = ON
bind_address = *                          # or the address that agents reach

# on each agent, beside a copy of {files.ca}: agent.toml
[source]
url           = "mysql://USER@{host}/{database}"
password_file = "/etc/certfleet/db.password"
tls_ca        = "/etc/certfleet/db-ca.pem"

# an issuer that comes over a network too: issuer.toml
[database]
tls_ca = "{files.ca}"

# after a renewal no restart is needed: FLUSH SSL (MariaDB) or ALTER INSTANCE RELOAD TLS (MySQL)"""


def tls(arguments: argparse.Namespace) -> None:
    """Make or renew the CA and the server's certificate in a folder, and print the lines for everybody's settings."""
    folder = Path(os.path.abspath(arguments.folder))
    address = _address(arguments)
    hosts = tuple(dict.fromkeys(arguments.host)) or hosts_of(folder) or _hosts(address)
    try:
        files = make(folder, hosts, _ACCOUNT, datetime.now(UTC).replace(microsecond=0))
    except ValueError as error:
        raise UsageError(
            f"--host: {error}", hint="a host name or an address by which agents reach the server"
        ) from error
    say(f"{files.ca}: the CA, until {files.ca_ends:%Y-%m-%d}; its key stays in {files.ca_key}")
    say(f"{files.certificate}: for {', '.join(files.hosts)}, until {files.ends:%Y-%m-%d}; run this again before then")
    if not _belongs_to_server(files.key):
        complain(f"the server must be able to read its key: on its machine, `chown {_ACCOUNT} {files.key}`")
    database = address.database if address is not None else "certfleet"
    lines = _LINES.format(files=files, host=files.hosts[0], database=database)
    say("", *lines.split("\n"))


def _belongs_to_server(file: Path) -> bool:
    try:
        return file.stat().st_uid == owner_ids(_ACCOUNT, "")[0]
    except ValueError:  # no such account here
        return False


def _hosts(address: MysqlAddress | None) -> Sequence[str]:
    """The hosts of [database] url; for a server of this machine, its name too."""
    hosts = [host for host, _ in address.hosts] if address is not None else []
    here = set(hosts) <= {"localhost"}
    return list(dict.fromkeys([socket.getfqdn(), "localhost"] if here else hosts))


def _address(arguments: argparse.Namespace) -> MysqlAddress | None:
    """The database server of the configuration; None for SQLite, or as long as there is no configuration."""
    if not os.path.exists(arguments.config):
        return None
    address = _parsed(arguments)
    return address if isinstance(address, MysqlAddress) else None


def _parsed(arguments: argparse.Namespace) -> MysqlAddress | SqliteAddress:
    try:
        return parse_database_url(load(Settings, arguments.config).database.url)
    except ValueError as error:
        raise ConfigError(str(arguments.config), [Finding("database.url", str(error))]) from error


def grants(arguments: argparse.Namespace) -> None:
    """Print the rights of an agent's account. One view shows it the present certificates without what else their rows
    hold, the other one its own reports."""
    address = _parsed(arguments)
    if not isinstance(address, MysqlAddress):
        raise UsageError("SQLite has no accounts", hint="use file permissions; GRANTs are for MySQL and MariaDB")
    for part in (arguments.account, arguments.host):
        if not re.fullmatch(r"[A-Za-z0-9_.%:-]{1,80}", part):
            raise UsageError(f"{part!r} cannot be part of an account name", hint="letters, digits and _ . % : - only")
    verb = "CREATE" if arguments.create else "ALTER" if arguments.alter else ""
    if arguments.password_file is not None and not verb:
        raise UsageError("--password-file goes with --create or --alter", hint="give one of them too")
    account, schema = f"'{arguments.account}'@'{arguments.host}'", _identifier(address.database)
    if verb:
        say(f"{verb} USER {account} IDENTIFIED BY {_password(arguments.password_file)} REQUIRE SSL;")
    say(f"GRANT SELECT ON {schema}.`agent_certs` TO {account};")
    say(f"GRANT SELECT, INSERT, UPDATE ON {schema}.`own_installations` TO {account};")


def _identifier(name: str) -> str:
    """A name between backquotes, as MySQL and MariaDB read it whatever it holds."""
    return f"`{name.replace('`', '``')}`"


def _password(file: str | None) -> str:
    """The password in *file* for a statement; a new one is written there if there is no such file. Without *file* a
    placeholder, with which the server refuses the statement."""
    if file is None:
        return "/* 'PASSWORD' */"
    if _on_terminal():
        hint = "send it on: `… | mariadb`, or `… > FILE` after `umask 077`"
        raise UsageError("the statement holds a password, which is not shown on a terminal", hint=hint)
    if not os.path.lexists(file):
        create_new(Path(file), f"{secrets.token_urlsafe(24)}\n".encode(), mode=0o600, own=True)
    quoted = read_password(Path(file)).replace("\\", "\\\\").replace("'", "''")
    return f"'{quoted}'"


def _on_terminal() -> bool:
    return sys.stdout.isatty()
