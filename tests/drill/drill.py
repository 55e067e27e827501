"""A machine under systemd with one of Debian's daemons and the agent, and the faults that an install meets there."""

import json
import time
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.agent.host import TABLES, Done
from tests.deploy.machine import Machine
from tests.drill.daemon import KEY, NAME, Daemon
from tests.servers.authority import Authority, Issued
from tests.servers.process import wait_until
from tests.servers.tls import completes_handshake, served_certificate

DATABASE = "/var/lib/drill/certfleet.db"
CONFIG = "/etc/certfleet/agent.toml"
FAULT = "/run/drill"


class Drill:
    """*daemon* on *machine* with a first certificate that the agent has installed."""

    def __init__(self, machine: Machine, daemon: Daemon) -> None:
        self.machine, self.daemon, self.name = machine, daemon, NAME
        self.root = Authority("Drill Root")
        self.authority = self.root.intermediate("Drill Intermediate")
        machine.write("/etc/hosts", f"127.0.0.1 localhost {NAME}\n")
        machine.write("/etc/certfleet/roots.pem", self.root.pem.decode())
        for words in daemon.prepare:
            machine.run(*words)
        for path, text in daemon.files.items():
            machine.write(path, text)
        machine.run("ln", "-sf", f"/lib/systemd/system/{daemon.unit}.service", "/etc/systemd/system/")
        machine.run("install", "-d", "-m", "0700", str(Path(DATABASE).parent))
        self.configure()
        self._csr = self._request()
        self._query(TABLES)
        self.present = self.offer()
        self.run(well=False)  # the daemon has not started: the files come first
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", daemon.unit)
        wait_until(lambda: completes_handshake(daemon.port, NAME), f"{daemon.unit} answers")
        self.run()

    def configure(self, more: str = "", probe_timeout: str = "10s") -> None:
        """agent.toml, with *more* in the entry."""
        probe = f"probe = {json.dumps(list(self.daemon.probe))}\n" if self.daemon.probe else ""
        self.machine.write(
            CONFIG,
            f'probe_timeout = "{probe_timeout}"\n[source]\nurl = "sqlite:///{DATABASE}"\n'
            f'[trust]\nroots = "/etc/certfleet/roots.pem"\n[[certificate]]\nname = "{NAME}"\nkey = "{KEY}"\n'
            f'service = "{self.daemon.preset}"\n{probe}{self.daemon.more}{more}',
        )

    def offer(self, **options: Any) -> Issued:
        """A new certificate in the database."""
        issued = self.authority.sign(self._csr, **options)
        values = (
            f"('{NAME}', 'Y', x'{issued.chain_pem.hex()}', x'{issued.cert_pem.hex()}', 0, {time.time_ns() // 1000})"
        )
        self._query(f"INSERT OR REPLACE INTO certs (name, enable, ca, crt, ts_expire, ts_last_update) VALUES {values}")  # noqa: S608 - our own words
        return issued

    def run(self, *words: str, well: bool = True, program: str = "") -> Done:
        """`certfleet-agent run`, as somebody at a shell types it; or *program* in Python in its place."""
        started = ["/opt/certfleet/bin/python", "-c", program] if program else ["/opt/certfleet/bin/certfleet-agent"]
        ended = self.machine.execute(*started, "run", "--json", *words)
        done = Done(ended.returncode, ended.stdout, ended.stderr)
        assert "Traceback" not in done.err, done.err
        assert not well or done.code == 0, done.err
        return done

    def served(self) -> x509.Certificate:
        return served_certificate(self.daemon.port, NAME)

    def fault(self, script: str) -> None:
        """Let the unit do *script* in place of its reload, as long as what it reads is not what it read last."""
        unit, live = self.daemon.unit, self.daemon.live
        procs = f"/sys/fs/cgroup/system.slice/{unit}.service/cgroup.procs"
        self.machine.run("cp", live, f"{FAULT}.old")
        lines = [
            f"others() {{ grep -vx $$ {procs}; }}",
            f"if cmp -s {live} {FAULT}.old; then kill -CONT $(others); {self.daemon.reload}; exit; fi",
            script,
        ]
        self.machine.write(f"{FAULT}.sh", "\n".join([*lines, ""]))
        self.machine.edit(f"{unit}.service", "ExecReload=", f"ExecReload=/bin/sh {FAULT}.sh", "Restart=no")

    def mended(self) -> None:
        """The unit is as it was."""
        self.machine.edit(f"{self.daemon.unit}.service")

    def misshapen(self) -> str:
        """In agent.toml: the live file is to hold the chain alone."""
        return f'[certificate.files]\nchain = "{self.daemon.live}"\n'

    def live(self) -> tuple[bytes, str]:
        """The live file: content; mode and owner."""
        rights = self.machine.run("stat", "-c", "%a %U %G", self.daemon.live)
        return self.machine.path(self.daemon.live).read_bytes(), rights

    def started(self) -> str:
        """When its main process was started."""
        return self.machine.show(self.daemon.unit, "ExecMainStartTimestampMonotonic")[0]

    def reported(self) -> str:
        """The state in the table installations."""
        return self.machine.run("sqlite3", DATABASE, "SELECT state FROM installations").strip()

    def restore(self) -> None:
        """All is as it was, with a new certificate in place."""
        self.mended()
        self.configure()
        self.machine.execute("systemctl", "start", self.daemon.unit)
        self.present = self.offer()
        self.run("--retry")

    def _request(self) -> bytes:
        self.machine.run("/opt/certfleet/bin/certfleet-agent", "request", NAME, "--key", KEY, "--csr", "/root/csr")
        return self.machine.path("/root/csr").read_bytes()

    def _query(self, statements: str) -> None:
        self.machine.run("sqlite3", DATABASE, stdin=statements)
