"""A machine under systemd with one of Debian's daemons and the agent."""

import json
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cryptography import x509

from common.probe.target import ProbeTarget
from tests.agent.host import TABLES, Done
from tests.deploy.machine import Machine
from tests.drill.clients import PATIENCE, connect, served_by
from tests.drill.daemon import KEY, NAME, ROOTS, Daemon
from tests.drill.facts import Facts
from tests.servers.authority import Authority, Issued
from tests.servers.process import wait_until

DATABASE = "/var/lib/drill/certfleet.db"
CONFIG = "/etc/certfleet/agent.toml"
STATE = "/var/lib/certfleet-agent"
OTHERS = tuple(
    f"other{number}.example.test" for number in (1, 2)
)  # certificates of the same service, in files of their own
TELLING = "/run/drill.told"
FAULT = "/run/drill.sh"
AGENT_UNIT = "certfleet-agent"
AGENT = f"/opt/certfleet/bin/{AGENT_UNIT}"
# What systemd says of a unit that it begins to reload, and to start: sd-messages.h
_RELOADING, _STARTING = "d34d037fff1847e6ae669a370e694725", "7d4958e842da4a758f6c1cdc7b36dcc5"
_ANYBODY = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Live:
    """A live file: what is in it, its mode and owner, its access control list and label."""

    content: bytes
    rights: str
    attributes: dict[str, bytes] = field(repr=False)


class Drill:
    """*daemon* on *machine* with a first certificate that the agent has installed."""

    def __init__(self, machine: Machine, daemon: Daemon) -> None:
        self.machine, self.daemon = machine, daemon
        self.root = Authority("Drill Root")
        self.authority = self.root.intermediate("Drill Intermediate")
        self._lay_out()
        self.facts = Facts(daemon.preset, self._version(), self._system(), way=daemon.way).with_kept()
        self._fault = ""
        self._query(TABLES)
        self.present = self.offer()
        self.run(well=False)  # the daemon has not started: the files come first
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", daemon.told)
        wait_until(lambda: bool(self.served()), f"{daemon.unit} answers", 30)
        self._mark_live_file()

    def _lay_out(self) -> None:
        machine, daemon = self.machine, self.daemon
        machine.write("/etc/hosts", f"127.0.0.1 localhost systemd-test {NAME}\n")
        machine.write(ROOTS, self.root.pem.decode())
        machine.execute("systemd-tmpfiles", "--create", "--exclude-prefix=/dev")  # as at each boot
        for words in daemon.prepare:
            machine.run(*words)
        for path, text in daemon.files.items():
            machine.write(path, text)
        # A drill restarts a service more often than systemd lets anybody
        for kind in ("service", "socket"):
            machine.write(f"/etc/systemd/system/{kind}.d/drill.conf", "[Unit]\nStartLimitIntervalSec=0\n")
        for unit in daemon.links or (f"{daemon.unit}.service",):
            machine.run("ln", "-sf", f"/lib/systemd/system/{unit}", "/etc/systemd/system/")
        if daemon.tool:
            self._shim(*daemon.tool)
        machine.run("install", "-d", "-m", "0700", str(Path(DATABASE).parent))
        self.configure()
        self._csr = self.csr_of(NAME)

    def _shim(self, path: str, *first: str) -> None:
        """A program that counts how often it is called with the words *first*, and lets a fault take its place then."""
        original = f"/opt/debian/{Path(path).name}"  # some look at the name by which they are called
        self.machine.run("install", "-D", path, original)
        self.machine.run("rm", path)
        call = f'"{original}" "$@"'
        lines = [
            "#!/bin/sh",
            f'case "$* " in "{" ".join(first)} "*)',
            f"echo told >>{TELLING}",
            f"[ -e {FAULT} ] && exec sh {FAULT} {call};;",
            "esac",
            f"exec {call}",
        ]
        self.machine.write(path, "\n".join([*lines, ""]), mode=0o755)

    def configure(self, more: str = "", probe_timeout: str = "10s", others: bool = False) -> None:
        """agent.toml, with *more* in the entry in place of the daemon's own; and with the *others*, which no socket
        shows."""
        daemon = self.daemon
        probe = f"probe = {json.dumps(list(daemon.probe))}\n" if daemon.probe else ""
        service = f"verify = {json.dumps(daemon.verify)}\n" if daemon.verify else ""
        service += f'settle = "{daemon.settle}"\n' if daemon.settle else ""
        entries = "".join(
            f'[[certificate]]\nname = "{name}"\nkey = "{KEY}"\nservice = "{daemon.preset}"\nprobe = []\n{service}'
            f'[certificate.files]\nfullchain = "/etc/ssl/certs/{name}.pem"\n'
            for name in OTHERS
        )
        self.machine.write(
            CONFIG,
            f'probe_timeout = "{probe_timeout}"\n[source]\nurl = "sqlite:///{DATABASE}"\n'
            f'[trust]\nroots = "{ROOTS}"\n[[certificate]]\nname = "{NAME}"\nkey = "{KEY}"\n'
            f'service = "{daemon.preset}"\n{probe}{service}{more or daemon.more}{entries if others else ""}',
        )

    def offer(self, name: str = NAME, csr: bytes = b"") -> Issued:
        """A new certificate in the database, for the host's key or for that of another *csr*."""
        issued = self.authority.sign(csr or self._csr)
        values = (
            f"('{name}', 'Y', x'{issued.chain_pem.hex()}', x'{issued.cert_pem.hex()}', 0, {time.time_ns() // 1000})"
        )
        self._query(f"INSERT OR REPLACE INTO certs (name, enable, ca, crt, ts_expire, ts_last_update) VALUES {values}")  # noqa: S608 - our own words
        return issued

    def run(self, *words: str, well: bool = True, program: str = "", wrap: Sequence[str] = ()) -> Done:
        """`certfleet-agent run`, as somebody at a shell types it; or *program* in Python in its place. *wrap*: words
        that start the rest."""
        started = ["/opt/certfleet/bin/python", "-c", program] if program else [AGENT]
        ended = self.machine.execute(*wrap, *started, "run", "--json", *words)
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        assert "Traceback" not in done.err, done.err
        assert not well or done.code == 0, f"{done.out}\n{done.err}"
        return done

    def run_by_unit(self) -> tuple[str, str]:
        """`systemctl start certfleet-agent`, with unit and folders as `init --system` sets them up; its result and exit
        code."""
        self.machine.run(AGENT, "init", "--system")
        self.machine.run("systemctl", "disable", "--now", f"{AGENT_UNIT}.timer")
        self.machine.execute("systemctl", "start", AGENT_UNIT)
        result, code = self.machine.show(AGENT_UNIT, "Result", "ExecMainStatus")
        return result, code

    def served(self) -> list[x509.Certificate]:
        """The leaf that each of the daemon's sockets shows; [] where one shows none."""
        try:
            return self._shown() if self.daemon.shows else [served_by(target) for target in self.daemon.sockets]
        except (OSError, AssertionError, ValueError):
            return []

    def shows(self, issued: Issued) -> bool:
        """Do all of its sockets show this one? Beside other work a client's own login may take too long: it tries
        again."""
        served = next((found for _ in range(3) if (found := self.served())), [])
        return bool(served) and all(one == issued.certificate for one in served)

    def live(self) -> Live:
        rights = self.machine.run("stat", "-c", "%a %U %G", self.daemon.live).strip()
        path = self.machine.path(self.daemon.live)
        return Live(path.read_bytes(), rights, {name: os.getxattr(path, name) for name in os.listxattr(path)})

    def told(self) -> int:
        """How often the daemon was reloaded or started so far."""
        if self.daemon.tool:
            counted = self.machine.path(TELLING)
            return len(counted.read_text(encoding="utf-8").splitlines()) if counted.exists() else 0
        units = [word for unit in {self.daemon.unit, self.daemon.told} for word in ("-u", unit)]
        self.machine.run("journalctl", "--sync")
        found = [f"MESSAGE_ID={_RELOADING}", f"MESSAGE_ID={_STARTING}"]
        ended = self.machine.execute("journalctl", "-q", "-o", "cat", *units, *found)
        lines = [line for line in ended.stdout.splitlines() if line.startswith(("Reloading", "Starting"))]
        return len(lines) // (1 if self.daemon.told == self.daemon.unit else 2)

    def reported(self) -> tuple[str, str]:
        """State and sentence in the table installations."""
        found = self._query(f"SELECT state, detail FROM installations WHERE name = '{NAME}'")  # noqa: S608
        state, _, detail = found.strip().partition("|")
        return state, detail

    def leftovers(self) -> list[str]:
        """Temporaries beside the live file, an open journal and a work folder."""
        folder = Path(self.daemon.live).parent
        found = self.machine.run("find", str(folder), "-maxdepth", "1", "-name", f".*{NAME}*").split()
        return found + self.machine.run("find", f"{STATE}/journal", f"{STATE}/work", "-mindepth", "1").split()

    def look_at(self, fault: str) -> None:
        """What comes is about that *fault*."""
        self._fault = fault
        self.facts.forget(fault)

    def saw(self, sentence: str) -> None:
        """Keep a fact."""
        self.facts.saw(self._fault, sentence)

    @property
    def keeps_connections(self) -> bool:
        """Does the preset say that open connections stay?"""
        return bool(json.loads(self.machine.run(AGENT, "presets", self.daemon.preset, "--json"))["keeps_connections"])

    def attempts(self) -> list[Callable[[], object]]:
        """A handshake at each of its sockets."""
        return [partial(_hello, target) for target in self.daemon.sockets] or [self._ask]

    def restore(self) -> None:
        """All is as it was, with the *present* certificate in place: a new one, unless nothing went wrong with the last
        install."""
        self.configure()
        if self.reported()[0] in ("installed", "unproven") and self.shows(self.present):
            return
        self.machine.execute("systemctl", "reset-failed", self.daemon.unit)
        self.machine.run("systemctl", "start", self.daemon.unit)
        wait_until(lambda: bool(self.served()), f"{self.daemon.unit} answers", 30)
        self.present = self.offer()
        self.run("--retry")
        assert self.shows(self.present)

    def csr_of(self, name: str, key: str = KEY) -> bytes:
        """A CSR, by the real command, for the host's key or one that is made."""
        file = f"/root/{name}-{Path(key).stem}.csr"
        self.machine.run(AGENT, "request", name, "--key", key, "--csr", file)
        return self.machine.path(file).read_bytes()

    def _mark_live_file(self) -> None:
        """The live file gets a label of SELinux, and an access control list (acl(5)) by which the user `games` may read
        it; its other rights stay."""
        path = self.machine.path(self.daemon.live)
        owner, group, others = ((path.stat().st_mode >> shift) & 7 for shift in (6, 3, 0))
        entries = ((1, owner, _ANYBODY), (2, 4, 5), (4, group, _ANYBODY), (16, group | 4, _ANYBODY))
        packed = [struct.pack("<HHI", *one) for one in (*entries, (32, others, _ANYBODY))]
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(packed))
        os.setxattr(path, "security.selinux", b"system_u:object_r:cert_t:s0\0")

    def _shown(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.machine.run("sh", "-c", self.daemon.shows).encode())

    def _ask(self) -> None:
        if not self.served():
            raise ConnectionError(f"{self.daemon.unit} shows no certificate")

    def _version(self) -> str:
        package = self.daemon.package
        return f"{package} {self.machine.run('dpkg-query', '-W', '-f', '${Version}', package)}"

    def _system(self) -> str:
        release = dict(line.split("=", 1) for line in self.machine.run("cat", "/etc/os-release").splitlines())
        name, version = (release[key].strip('"') for key in ("ID", "VERSION_ID"))
        return f"{name.capitalize()} {version}"

    def _query(self, statements: str) -> str:
        return self.machine.run("sqlite3", DATABASE, stdin=statements)


def _hello(target: ProbeTarget) -> None:
    connect(target, PATIENCE).close()
