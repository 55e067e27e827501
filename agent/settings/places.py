"""Where agent.toml is unless the command line or the environment names another. Every command asks this first: import
nothing here."""

import os

DEFAULT_FILE = "/etc/certfleet/agent.toml"
ROOTS_FILE = "/etc/certfleet-agent/agent.toml"
"""Where `init` writes it if /etc/certfleet is another user's, such as the issuer's."""


def usual_file() -> str:
    """The agent.toml of this host. The one of root's own goes first: nobody else can put another before it."""
    return ROOTS_FILE if os.path.exists(ROOTS_FILE) else DEFAULT_FILE
