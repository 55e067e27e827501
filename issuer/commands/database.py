"""db upgrade, db status."""

import argparse
from pathlib import Path

from common.command_line import report, say
from common.config_file import load
from common.files import make_private_folder
from issuer.commands.adopt import seal_anew
from issuer.commands.keys import sign_first
from issuer.model.config import Settings
from issuer.model.errors import OtherRevision
from issuer.store import migrate
from issuer.store.database import Database
from issuer.store.revision import NEEDED, present


def upgrade(arguments: argparse.Namespace) -> None:
    """Create or migrate the tables; seal and sign what they held before there were seals and statements. Orders under
    way get no seal: who writes the database could plant one, and name an early revision."""
    settings = load(Settings, arguments.config)
    database = Database(settings.database)
    if database.embedded:
        make_private_folder(Path(database.place).parent)
    before, after = migrate.upgrade(database)
    say(f"the database is at revision {after}" + ("" if before == after else f" (was at {before or 'none'})"))
    make_private_folder(settings.state_dir)
    seal_anew(settings, database)
    sign_first(settings, database, before)


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
    if table is None:
        return "there is no table certs yet: an upgrade creates it"
    rows = f"a table certs with {table.rows} row{'' if table.rows == 1 else 's'}"
    if table.missing:
        return f"there is {rows} that lacks the columns {', '.join(table.missing)}: an upgrade refuses it"
    return f"there is {rows} that can be adopted: an upgrade changes no value in it"
