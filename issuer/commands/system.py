"""init --system: a whole central machine in one command, as root. Nothing that is there is overwritten.

User, folders, key for the name server, issuer.toml, account key, tables, units and their timer.
"""

import argparse
import base64
import json
import os
import pwd
import re
import secrets
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

from common.command_line import say
from common.config import parse
from common.config_file import load
from common.errors import RefusedError
from common.files import create_new, give
from common.owners import owner_ids
from common.system import (
    act,
    disable,
    enable,
    install_units,
    is_enabled,
    link,
    program,
    require_root,
    write_drop_in,
)
from issuer.commands.setup import EXAMPLE, example, make_all
from issuer.model.config import Settings
from issuer.trust.seals import key_file
from issuer.trust.statements import Statements

USER = "certfleet"
_STATE = Path("/var/lib/certfleet")
_RUN, _TIMER, _DAEMON = "certfleet-issuer.service", "certfleet-issuer.timer", "certfleet-issuer-daemon.service"
_SCHEDULE = "schedule.conf"  # a drop-in: the timer's own file may be there already, and changed by hand
_TIMES = {  # by --schedule
    "daily": "OnCalendar=*-*-* 01:30\nRandomizedDelaySec=2h\n",
    "hourly": "OnCalendar=hourly\nRandomizedDelaySec=10m\n",
}
_UNITS = (_RUN, _TIMER, _DAEMON)
_MARIADB = f"""CREATE DATABASE IF NOT EXISTS certfleet;
CREATE USER IF NOT EXISTS {USER}@localhost IDENTIFIED VIA unix_socket;
GRANT ALL ON certfleet.* TO {USER}@localhost;
"""
_MARIADB_URL = f"mysql+pymysql://{USER}@localhost/certfleet?unix_socket=/run/mysqld/mysqld.sock"


def set_up(arguments: argparse.Namespace) -> None:
    """Set up the central machine. Raises CertfleetError; the same command, run again, goes on from there."""
    require_root()
    started = program("certfleet-issuer")
    folder = arguments.config.parent
    _user()
    key = folder / "acme.key"
    for each, mode in ((folder, 0o750), (_STATE, 0o700)):
        _folder(each, mode)
    if arguments.server:
        _write(key, _tsig_key(), mode=0o600)
    _write(arguments.config, _configuration(arguments, key), mode=0o640)
    settings = load(Settings, arguments.config)
    make_all(settings)
    keys = [*map(settings.account_key, settings.authorities)]
    keys += [key_file(settings.state_dir), Statements(settings.state_dir).file]
    for each in (settings.state_dir, settings.csr_dir, *filter(os.path.lexists, keys)):
        give(each, *owner_ids(USER, USER))
    if arguments.mariadb:
        act(shutil.which("mariadb") or "mysql", stdin=_MARIADB)
        say(f"made     database certfleet in MariaDB, for {USER}@localhost by the socket")
    act("runuser", "-u", USER, "--", str(started), "--config", str(arguments.config), "db", "upgrade")
    say("made     the tables")
    link(started)
    if install_units("issuer.commands", _UNITS, started):
        _start(arguments.schedule)
    say(f"then     `zone NAME --shell` and `populate --enable NAME`, as the user {USER}: runuser -u {USER} -- …")


def _start(schedule: str) -> None:
    """Start the daemon, or the timer with the times of that *schedule*; "" for what is started already."""
    if schedule in _TIMES:
        write_drop_in(_TIMER, _SCHEDULE, f"[Timer]\nOnCalendar=\n{_TIMES[schedule]}")
    is_daemon = schedule == "daemon" or (not schedule and is_enabled(_DAEMON))
    unit, other = (_DAEMON, _TIMER) if is_daemon else (_TIMER, _DAEMON)
    disable(other)
    if is_daemon:  # which does not start beside a run, and ends for good
        act("systemctl", "stop", _RUN)
    enable(unit)


def _user() -> None:
    try:
        pwd.getpwnam(USER)
        say(f"kept     user {USER}")
    except KeyError:
        options = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
        act("useradd", *options, "--home-dir", str(_STATE), USER)
        say(f"made     user {USER}")


def _folder(folder: Path, mode: int) -> None:
    if os.path.lexists(folder):
        say(f"kept     {folder}")
        return
    folder.mkdir(mode=mode, parents=True)
    folder.chmod(mode)
    give(folder, *owner_ids(USER, USER))
    say(f"made     {folder}")


def _write(file: Path, content: bytes, *, mode: int) -> None:
    """A file of the user's; kept if it is there."""
    if os.path.lexists(file):
        say(f"kept     {file}")
        return
    create_new(file, content, mode=mode)
    give(file, *owner_ids(USER, USER))
    say(f"wrote    {file}")


def _tsig_key() -> bytes:
    """A new key as `tsig-keygen -a hmac-sha256 certfleet` writes it."""
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return f'key "{USER}" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n'.encode()


def _configuration(arguments: argparse.Namespace, key: Path) -> bytes:
    """The commented example with what the options say. Raises ConfigError where they cannot be meant."""
    values: dict[tuple[str, str], object] = {("log", "form"): "plain"}  # the journal is read by people
    if arguments.server:
        values |= {("dns", "server"): arguments.server, ("dns", "tsig_key_file"): str(key)}
    if arguments.email:
        values["notify", "email_to"] = arguments.email
    if arguments.mariadb:
        values["database", "url"] = _MARIADB_URL
    text = filled(example().decode(), values)
    parse(Settings, tomllib.loads(text), "the options")
    return text.encode()


def filled(text: str, values: Mapping[tuple[str, str], object]) -> str:
    """The TOML *text* with other *values*, by (section, key), on the lines of these keys; their comments stay. Raises
    RefusedError for a key that has no line."""
    section, left, lines = "", dict(values), []
    for line in text.splitlines():
        head = re.match(r"\[([a-z.]+)\]", line)
        section = head[1] if head else section
        found = re.match(r'([a-z_]+)( *= )("[^"]*"|\[[^\]]*\])(.*)', line)
        if found is None or (section, found[1]) not in left:
            lines.append(line)
            continue
        lines.append(f"{found[1]}{found[2]}{json.dumps(left.pop((section, found[1])))}{found[4]}")
    if left:
        raise RefusedError(f"{EXAMPLE} has no line for {', '.join('.'.join(key) for key in left)}")
    return "\n".join(lines) + "\n"
