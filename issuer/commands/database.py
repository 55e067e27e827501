"""db upgrade, db status, db grants."""

import argparse
import re

from common.command_line import report, say
from common.errors import UsageError
from common.files import make_private_folder
from issuer.config import load
from issuer.store import migrate
from issuer.store.address import MysqlAddress, SqliteAddress, parse_address
from issuer.store.database import Database


def upgrade(arguments: argparse.Namespace) -> None:
    """Create or migrate the tables."""
    settings = load(arguments.config)
    address = parse_address(settings.database.url) if settings.database.url.startswith("sqlite") else None
    if isinstance(address, SqliteAddress):
        make_private_folder(address.file.parent)
    before, after = migrate.upgrade(Database(settings.database))
    say(f"the database is at revision {after}" + ("" if before == after else f" (was at {before or 'none'})"))


def status(arguments: argparse.Namespace) -> int:
    """Where the schema stands; exit code 1 if it is not the one that this version needs."""
    database = Database(load(arguments.config).database)
    present, newest = migrate.present_revision(database), migrate.newest_revision()
    if arguments.json:
        report({"database": database.place, "revision": present, "newest": newest, "current": present == newest})
    elif present == newest:
        say(f"{database.place}: revision {present}, current")
    elif migrate.is_newer(present):
        say(f"{database.place}: revision {present}, newer than {newest}; {migrate.NEWER}")
    else:
        say(f"{database.place}: revision {present or 'none'}, needs {newest}; run `certfleet-issuer db upgrade`")
    return 0 if present == newest else 1


def grants(arguments: argparse.Namespace) -> None:
    """GRANT knows no rows; the view own_installations keeps an account to its own."""
    address = parse_address(load(arguments.config).database.url)
    if not isinstance(address, MysqlAddress):
        raise UsageError("SQLite knows no accounts", hint="use file permissions; GRANTs are for MySQL and MariaDB")
    for part in (arguments.account, arguments.host):
        if not re.fullmatch(r"[A-Za-z0-9_.%:-]{1,80}", part):
            raise UsageError(f"{part!r} cannot be part of an account name", hint="letters, digits and _ . % : - only")
    account, schema = f"'{arguments.account}'@'{arguments.host}'", f"`{address.database}`"
    say(f"GRANT SELECT ON {schema}.`certs` TO {account};")
    say(f"GRANT SELECT, INSERT, UPDATE ON {schema}.`own_installations` TO {account};")
