"""db upgrade, db status, db grants."""

import argparse
import re
from pathlib import Path

from common.command_line import report, say
from common.config_file import load
from common.database_url import MysqlAddress, parse_database_url
from common.errors import UsageError
from common.files import make_private_folder
from issuer.model.config import Settings
from issuer.model.errors import OtherRevision
from issuer.store import migrate
from issuer.store.database import Database
from issuer.store.revision import NEEDED, present


def upgrade(arguments: argparse.Namespace) -> None:
    """Create or migrate the tables."""
    database = Database(load(Settings, arguments.config).database)
    if database.embedded:
        make_private_folder(Path(database.place).parent)
    before, after = migrate.upgrade(database)
    say(f"the database is at revision {after}" + ("" if before == after else f" (was at {before or 'none'})"))


def status(arguments: argparse.Namespace) -> int:
    """Tell the revision of the tables, and what an upgrade would meet; exit code 1 unless they fit this version."""
    database = Database(load(Settings, arguments.config).database)
    found = present(database)
    table = None if found or database.absent else migrate.legacy_table(database)
    if arguments.json:
        adopts = None if table is None else {"rows": table.rows, "missing": list(table.missing)}
        facts = {"revision": found, "newest": NEEDED, "current": found == NEEDED, "certs_to_adopt": adopts}
        report({"database": database.place, **facts})
    elif found == NEEDED:
        say(f"{database.place}: revision {found}, current")
    else:
        say(f"{database.place}: {OtherRevision(found, NEEDED)}")
        if not found:
            say(_before_adoption(table))
        say(f"what to do: {OtherRevision(found, NEEDED).hint}")
    return 0 if found == NEEDED else 1


def _before_adoption(table: migrate.LegacyTable | None) -> str:
    """The table of the classic scripts that `db upgrade` would meet, in a sentence."""
    if table is None:
        return "there is no table certs yet: an upgrade creates it"
    rows = f"a table certs with {table.rows} row{'' if table.rows == 1 else 's'}"
    if table.missing:
        return f"there is {rows} that lacks the columns {', '.join(table.missing)}: an upgrade refuses it"
    return f"there is {rows} that can be adopted: an upgrade changes no value in it"


def grants(arguments: argparse.Namespace) -> None:
    """Print the rights of an agent's account. The view own_installations limits it to its own rows."""
    address = parse_database_url(load(Settings, arguments.config).database.url)
    if not isinstance(address, MysqlAddress):
        raise UsageError("SQLite has no accounts", hint="use file permissions; GRANTs are for MySQL and MariaDB")
    for part in (arguments.account, arguments.host):
        if not re.fullmatch(r"[A-Za-z0-9_.%:-]{1,80}", part):
            raise UsageError(f"{part!r} cannot be part of an account name", hint="letters, digits and _ . % : - only")
    account, schema = f"'{arguments.account}'@'{arguments.host}'", f"`{address.database}`"
    say(f"GRANT SELECT ON {schema}.`certs` TO {account};")
    say(f"GRANT SELECT, INSERT, UPDATE ON {schema}.`own_installations` TO {account};")
