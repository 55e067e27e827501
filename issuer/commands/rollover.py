"""Another key for the account (RFC 8555 §7.3.5), in steps that a kill cannot tear apart.

The new key lies beside the old one before the CA hears of it, and takes its place when CA and tables know it. Until
then whatever needs the account asks the CA which of the two it knows.
"""

import os
from pathlib import Path

import structlog

from common.errors import RefusedError
from common.files import sync_folder
from issuer.ca.account import account_id, create_account_key, load_account_key, next_key
from issuer.ca.upkeep import KeyAccount
from issuer.model.config import CaSettings, Settings
from issuer.model.errors import AcmeProblem
from issuer.store.database import Database
from issuer.store.holds import rename_account

log = structlog.get_logger()


def roll_over(settings: Settings, ca: CaSettings, database: Database) -> None:
    """Change the key of our account at *ca*, or finish a change that was cut short. Raises RefusedError where there is
    no account or other CAs use the same file; CertfleetError."""
    file = settings.account_key(ca)
    others = [other.directory for other in settings.authorities if settings.account_key(other) == file and other != ca]
    if others:
        hint = f"copy {file} to another file, name the copy as account_key of one of them, and change each by itself"
        raise RefusedError(f"the key in {file} is that of our account at {', '.join(others)} too", hint=hint)
    if not os.path.lexists(next_key(file)):
        if not KeyAccount(ca, load_account_key(file)).find():
            raise RefusedError(f"{ca.directory} knows no account of the key in {file}", hint="there is none to change")
        create_account_key(next_key(file))
    _settle(ca, file, database)


def finish_rollovers(settings: Settings, database: Database) -> None:
    """Finish each change of a key that was cut short. One that the CA does not take is given up: the old key goes on.
    Where the CA cannot tell, nothing is ordered there (issuer/ca/account.py), and other CAs go on. Raises StoreError,
    FileError, ConfigError."""
    for ca in settings.authorities:
        file = settings.account_key(ca)
        if not os.path.lexists(next_key(file)):
            continue
        try:
            _settle(ca, file, database)
        except (AcmeProblem, RefusedError) as error:
            event = "account.rollover_unfinished" if os.path.lexists(next_key(file)) else "account.rollover_given_up"
            log.warning(event, directory=ca.directory, error=str(error))
        else:
            log.info("account.rollover_finished", directory=ca.directory)


def _settle(ca: CaSettings, file: Path, database: Database) -> None:
    """Ask for the change unless the CA knows the new key already. If it knows that key neither then, forget it."""
    new_file = next_key(file)
    old_key, new_key = load_account_key(file), load_account_key(new_file)
    new = KeyAccount(ca, new_key)
    if not new.find():
        old = KeyAccount(ca, old_key)
        try:
            if not old.find():
                raise RefusedError(f"{ca.directory} knows no account of the key in {file}", hint="none was changed")
            old.change_key(new_key)
        except (AcmeProblem, RefusedError):
            if not new.find():
                new_file.unlink()
                raise
    rename_account(database, account_id(ca.directory, old_key), account_id(ca.directory, new_key))
    os.replace(new_file, file)
    sync_folder(file.parent)
