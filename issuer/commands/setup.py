"""init: everything that a new machine needs before the first `populate`."""

import argparse
import os
from importlib import resources

from common.command_line import say
from common.config_file import load
from common.errors import UsageError
from common.files import create_new, make_private_folder
from issuer.ca.account import create_account_key, load_account_key
from issuer.model.config import Settings
from issuer.trust.seals import create_key, key_file, load_key
from issuer.trust.statements import LOST, Statements

EXAMPLE = "issuer.example.toml"


def init(arguments: argparse.Namespace) -> None:
    """Write the configuration if there is none, then create the folders and keys that it names. Never overwrites."""
    if arguments.server or arguments.email or arguments.mariadb or arguments.schedule:
        raise UsageError("these options go with --system", hint="add --system, or edit the file that `init` writes")
    if os.path.lexists(arguments.config):
        say(f"kept     {arguments.config}")
    else:
        make_private_folder(arguments.config.parent)
        create_new(arguments.config, example(), mode=0o640)
        say(f"wrote    {arguments.config}; look through it, then go on with `certfleet-issuer db upgrade`")
    make_all(load(Settings, arguments.config))


def example() -> bytes:
    """The commented configuration with every default."""
    return resources.files("issuer.commands").joinpath(EXAMPLE).read_bytes()


def make_all(settings: Settings) -> None:
    """Create the folders and keys that *settings* name, and say so."""
    new = not os.path.lexists(settings.state_dir)
    for folder in (settings.state_dir, settings.csr_dir):
        made = not os.path.lexists(folder)
        make_private_folder(folder)
        say(f"{'made' if made else 'kept':8} {folder}")
    for file in dict.fromkeys(settings.account_key(ca) for ca in settings.authorities):
        if os.path.lexists(file):
            load_account_key(file)
            say(f"kept     {file}")
        else:
            make_private_folder(file.parent)
            create_account_key(file)
            new = True
            say(f"made     {file}; keep a backup of it, it is your account with the CA")
    file = key_file(settings.state_dir)
    if os.path.lexists(file):
        load_key(file)
        say(f"kept     {file}")
    else:
        create_key(file)
        say(f"made     {file}; keep a backup of it, it seals what you enrol")
    _make_statement_key(Statements(settings.state_dir), new=new)


def _make_statement_key(statements: Statements, *, new: bool) -> None:
    """A *new* installation gets a key. One that had a key before must not get another unnoticed: agents know it."""
    if not statements.absent:
        statements.key()
        say(f"kept     {statements.file}")
    elif new:
        key = statements.create()
        say(f"made     {statements.file}; keep a backup of it; {key.sentence}")
    else:
        say(f"missing  {statements.file}: `db upgrade` makes it for tables of an earlier version; else {LOST}")
