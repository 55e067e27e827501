"""init: everything that a new machine needs before the first `populate`."""

import argparse
import os
from importlib import resources

from common.command_line import say
from common.config_file import load
from common.files import create_new, make_private_folder
from issuer.ca.account import create_account_key, load_account_key
from issuer.model.config import Settings


def init(arguments: argparse.Namespace) -> None:
    """Write the configuration if there is none, then create the folders and keys that it names. Never overwrites."""
    if os.path.lexists(arguments.config):
        say(f"kept     {arguments.config}")
    else:
        make_private_folder(arguments.config.parent)
        example = resources.files("issuer.commands").joinpath("issuer.example.toml").read_bytes()
        create_new(arguments.config, example, mode=0o640)
        say(f"wrote    {arguments.config}; look through it, then go on with `certfleet-issuer db upgrade`")
    settings = load(Settings, arguments.config)
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
            say(f"made     {file}; keep a backup of it, it is your account with the CA")
