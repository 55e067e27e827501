"""A machine under systemd on which certfleet is installed as the README says, with the units of deploy/ as shipped."""

import functools
import json
import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from issuer.model.config import DatabaseSettings
from issuer.store import migrate
from issuer.store.database import Database
from tests.issuer.signing_requests import csr
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.systemd import Systemd

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
CONFIG = "/etc/certfleet/issuer.toml"
STATE = "/var/lib/certfleet"
DAEMON = "certfleet-issuer-daemon"
_SOURCE, _PYTHON, _PACKAGES = "/opt/certfleet/source", "/opt/certfleet/python", "/opt/certfleet/packages"
# An interpreter needs longer for its imports than for all of a short command.
_COMMANDS = "import json, sys; from issuer.cli import build; sys.exit(any(map(build().run, json.loads(sys.argv[1]))))"
_QUERY = "import json, sqlite3, sys; print(json.dumps(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()))"
# Where the units let a service see them: not below /home, /root or /tmp, where they may lie for the tests.
MOUNTS = {_SOURCE: ROOT, _PYTHON: Path(sys.base_prefix), _PACKAGES: Path(sysconfig.get_path("purelib"))}


class Machine(Systemd):
    """A systemd, certfleet's two programs in /opt/certfleet/bin, and its units."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, MOUNTS)

    def start(self) -> None:
        """Boot and install."""
        super().start()
        interpreter = Path(os.path.realpath(sys.executable)).relative_to(os.path.realpath(sys.base_prefix))
        libraries = f"LD_LIBRARY_PATH={_PYTHON}/lib"  # an interpreter with a shared libpython looks where it came from
        python = f"{libraries} PYTHONPATH={_SOURCE}:{_PACKAGES} exec {_PYTHON}/{interpreter} -P"
        for program, package in (("python", ""), ("certfleet-issuer", "issuer"), ("certfleet-agent", "agent")):
            place = f"/opt/certfleet/bin/{program}"
            entry = f"import sys; from {package}.cli import main; sys.argv[0] = '{place}'; sys.exit(main())"
            words = f'-c "{entry}"' if package else ""
            self.write(place, f'#!/bin/sh\n{python} {words} "$@"\n', mode=0o755)
        self.run("sh", "-c", f"cp {_SOURCE}/deploy/systemd/* /etc/systemd/system/")
        self.run("ln", "-s", "/lib/systemd/system/nginx.service", "/etc/systemd/system/")
        self.run("systemctl", "daemon-reload")

    def path(self, path: str) -> Path:
        """One of its files as seen from here."""
        return self.root / path.removeprefix("/")

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: str = "root") -> None:
        """One of its files. A link to a whole path makes way: from here it leads to a file of this machine."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink() and file.readlink().is_absolute():
            file.unlink()
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        self.run("chown", f"{owner}:", path)

    def edit(self, unit: str, *lines: str, section: str = "Service") -> None:
        """What `systemctl edit` makes of these lines."""
        self.write(f"/etc/systemd/system/{unit}.d/override.conf", "\n".join([f"[{section}]", *lines, ""]))
        self.run("systemctl", "daemon-reload")

    def missed(self, timer: str) -> None:
        """As if the machine had been off since the timer's last moment, two days ago."""
        stamp = f"/var/lib/systemd/timers/stamp-{timer}"
        self.write(stamp, "")
        self.run("touch", "--date=2 days ago", stamp)


class Central:
    """The issuer on a machine, with SQLite, and the servers of a lab. `text` is issuer.toml."""

    def __init__(self, machine: Machine, lab: Lab) -> None:
        self.machine = machine
        self.lab = lab
        self.database = f"{STATE}/certfleet.db"
        machine.run("adduser", "--system", "--group", "--no-create-home", "--home", STATE, "certfleet")
        machine.run("install", "-d", "-o", "certfleet", "-g", "certfleet", "-m", "0750", "/etc/certfleet")
        machine.run("install", "-d", "-o", "certfleet", "-g", "certfleet", "-m", "0700", STATE)
        key = lab.bind.tsig_key("acme").read_text(encoding="utf-8")
        machine.write("/etc/certfleet/acme.key", key, mode=0o600, owner="certfleet")
        machine.write("/etc/certfleet/ca.pem", lab.pebble.ca_file.read_text(encoding="utf-8"))
        self.text = f"""
[acme]
directory = "{lab.pebble.directory}"
ca_bundle = "/etc/certfleet/ca.pem"
[dns]
server = "{lab.bind.address}"
port = {lab.bind.port}
tsig_key_file = "/etc/certfleet/acme.key"
nameservers = ["{lab.bind.endpoint}"]
[log]
syslog = true
"""
        self.configure()
        self.command("init")
        machine.path(self.database).write_bytes(_migrated())
        machine.run("chown", "certfleet:", self.database)

    def configure(self, more: str = "") -> None:
        """Write issuer.toml."""
        self.machine.write(CONFIG, self.text + more, owner="certfleet")

    def command(self, *words: str, stdin: str = "") -> str:
        """One command, as the user `certfleet`."""
        return self._as_certfleet("certfleet-issuer", *words, stdin=stdin)

    def query(self, sql: str) -> list[list[Any]]:
        """The rows of one statement; asked in there, because SQLite follows links to the end and /proc's lead back."""
        return list(json.loads(self._as_certfleet("python", "-c", _QUERY, self.database, sql)))

    def enrol(self, name: str, *words: str) -> str:
        """A sub-zone, and a row that is enabled; the name."""
        self.lab.bind.dynamic_zone(f"_acme-challenge.{name}", "acme")
        self.lab.bind.reconfigure()
        return self.populate(name, *words)

    def populate(self, name: str, *words: str) -> str:
        """A row that is enabled; the name."""
        commands = [["populate", name, "--csr", "-", *words], ["enable", name]]
        self._as_certfleet("python", "-c", _COMMANDS, json.dumps(commands), stdin=csr([name]).decode())
        return name

    def stored(self, name: str) -> bool:
        """Is there a certificate now?"""
        return bool(self.query(f"SELECT crt IS NOT NULL FROM certs WHERE name = '{name}'")[0][0])  # noqa: S608

    def _as_certfleet(self, program: str, *words: str, stdin: str = "") -> str:
        return self.machine.run(
            "runuser", "-u", "certfleet", "--", f"/opt/certfleet/bin/{program}", *words, stdin=stdin
        )


@functools.cache
def _migrated() -> bytes:
    """A SQLite file after `db upgrade`, which takes a second of a processor; `init --system` does it on a machine."""
    with tempfile.TemporaryDirectory() as folder:
        empty = SqliteDatabase(Path(folder))
        migrate.upgrade(Database(DatabaseSettings(empty.url)))
        return empty.content()
