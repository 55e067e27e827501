"""account: look at our account at each CA, change its key, end it."""

import argparse
import os
from dataclasses import asdict
from typing import Any

from common.command_line import complain, report, say
from common.config_file import load
from common.errors import CertfleetError, RefusedError, UsageError, render
from issuer.ca.account import load_account_key, next_key, refuse_half_done
from issuer.ca.upkeep import KeyAccount
from issuer.commands.confirm import confirm
from issuer.commands.rollover import roll_over
from issuer.commands.wiring import alone
from issuer.model.config import CaSettings, Settings
from issuer.model.errors import noted
from issuer.store.revision import open_database

_STOP = "stop the daemon, do this, and start it again"


def show(arguments: argparse.Namespace) -> int:
    """Tell what each CA knows of the account of our key. Registers nothing. 1 if a CA cannot tell."""
    settings, failed = load(Settings, arguments.config), list[CertfleetError]()
    found: list[dict[str, Any]] = []
    for ca in settings.authorities:
        file = settings.account_key(ca)
        with noted(failed):
            facts = asdict(KeyAccount(ca, load_account_key(file)).facts())
            found.append({**facts, "key_file": str(file), "rollover_unfinished": os.path.lexists(next_key(file))})
    if arguments.json:
        report(found)
    else:
        for one in found:
            _tell(one)
    for error in failed:
        complain(*render(error))
    return 1 if failed else 0


def _tell(one: dict[str, Any]) -> None:
    say(f"--- {one['directory']} ---")
    say(f"account     {one['url'] or 'none yet: the first order registers it'}")
    say(f"status      {one['status'] or '-'}")
    say(f"contact     {', '.join(one['contact']) or '-'}")
    say(f"terms       {one['terms'] or '-'}")
    say(f"key         {one['key_file']}")
    say(f"thumbprint  {one['thumbprint']}")
    if one["rollover_unfinished"]:
        say("a change of the key is not finished: `certfleet-issuer account rollover` finishes it")


def rollover(arguments: argparse.Namespace) -> None:
    """Change the account's key. Raises LockedError while another issuer works here."""
    settings = load(Settings, arguments.config)
    ca = _chosen(settings, arguments.directory)
    database = open_database(settings.database)
    with alone(settings, doing="certfleet-issuer account rollover", beside_daemon=_STOP):
        roll_over(settings, ca, database)
    file = settings.account_key(ca)
    say(f"{file} holds another key now, which {ca.directory} knows; the account is the same, the old key is void")
    say("keep a backup of it; another issuer with a copy of the old key needs a copy of this one before its next run")


def deactivate(arguments: argparse.Namespace) -> None:
    """End the account for good, after the person has typed its URL."""
    settings = load(Settings, arguments.config)
    ca = _chosen(settings, arguments.directory)
    refuse_half_done(settings.account_key(ca))
    account = KeyAccount(ca, load_account_key(settings.account_key(ca)))
    url = account.find()
    if not url:
        raise RefusedError(f"{ca.directory} knows no account of our key", hint="there is none to end")
    if not arguments.yes:
        say(f"{url} ends for good: its orders and validations end, and {ca.directory} refuses its key ever after.")
        say("Certificates stay valid and served, but this account neither renews nor revokes them any more.")
    prompt, otherwise = "type the account's URL to deactivate it: ", "nothing was deactivated"
    confirm(url, prompt, yes=arguments.yes, otherwise=otherwise, what="the URLs differ")
    with alone(settings, doing="certfleet-issuer account deactivate", beside_daemon=_STOP):
        account.deactivate()
    say(f"{url} is deactivated: nothing is renewed there from now on")
    say("to go on with a new account: name a new file as account_key, then `certfleet-issuer init` makes the key")


def _chosen(settings: Settings, directory: str | None) -> CaSettings:
    """The CA with that directory URL; that of [acme] for None. Raises UsageError."""
    if directory is None:
        return settings.acme
    for ca in settings.authorities:
        if ca.directory == directory:
            return ca
    hint = f"give one of {', '.join(ca.directory for ca in settings.authorities)}"
    raise UsageError(f"--directory {directory[:200]!r} is no CA of the configuration", hint=hint)
