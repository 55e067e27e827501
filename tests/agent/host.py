"""A host as the agent sees it: a folder with live files, a state folder, an agent.toml, and the issuer's database."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from agent import cli
from agent.host import keys
from agent.host.presence import presence
from tests.servers.anyone import Python, python_of
from tests.servers.authority import Authority, Issued
from tests.servers.forks import forks
from tests.servers.here import run_here

ROOT = Path(__file__).parents[2]
NAME = "www.example.test"
AGENT = "import sys; from agent.cli import main; sys.exit(main())"


def agent_ahead(seconds: float) -> str:
    """The agent on a machine whose clock is *seconds* ahead."""
    return f"import time; now = time.time; time.time = lambda: now() + {seconds}\n{AGENT}"


# The legacy table, and the agents' own: the contract of the database, in the words of SQLite.
TABLES = """
CREATE TABLE IF NOT EXISTS certs (
  name char(250) NOT NULL PRIMARY KEY, enable char(1) DEFAULT 'N', comment text, certbot char(1) DEFAULT 'N',
  csr blob, ca blob, crt blob, md5_modulus char(64), md5_ca char(64), ts_expire bigint, ts_last_update bigint DEFAULT 1,
  count_fail_update int DEFAULT 0, old_ca blob, old_crt blob, webroot_path text, rolled_back char(64), statement text);
CREATE TABLE IF NOT EXISTS installations (
  name char(250) NOT NULL, host char(250) NOT NULL, account char(80) NOT NULL, sha256 char(64), not_after bigint,
  state char(20), detail text, ts_report bigint, PRIMARY KEY (name, host, account));
"""


class Served(Protocol):
    """A server with the commands that an agent runs after it has changed the files; *port*: on loopback."""

    port: int
    check: list[str]
    activate: list[str]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def certificate(self) -> dict[str, Any]:
        """The only certificate of a `run --json` or `status --json`."""
        (one,) = self.json["certificates"]
        assert isinstance(one, dict)
        return one


class Host:
    """One host with one certificate; its authority issues through an intermediate, as public ones do."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.folder = folder
        self.name = name
        self.live = folder / "live"
        self.live.mkdir(parents=True)
        self.key = folder / "key.pem"
        self.fullchain = self.live / "fullchain.pem"
        self.state_dir = folder / "state"
        self.config = folder / "agent.toml"
        self.database = folder / "certfleet.db"
        self.root = Authority("Test Root")
        self.authority = self.root.intermediate("Test Intermediate")
        self.roots = self.root.write(folder / "roots")
        self.first: Issued
        self.placeholder = Authority("Placeholder").issue([name])
        with closing(sqlite3.connect(self.database)) as connection:
            connection.executescript(TABLES)

    def make_key(self) -> None:
        """The key of this host, by the real command."""
        done = self.agent("request", self.name, "--key", str(self.key), "--csr", str(self.folder / "host.csr"))
        assert done.code == 0, done.err

    def put_placeholder(self) -> None:
        """What a freshly installed server has: a certificate for the host's own key that nobody trusts."""
        self.fullchain.write_bytes(self.self_signed())

    def self_signed(self) -> bytes:
        key = load_pem_private_key(self.key.read_bytes(), None)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "placeholder")])
        like = self.placeholder.certificate
        return (
            x509.CertificateBuilder(subject, subject, key.public_key(), 1)  # type: ignore[arg-type]
            .not_valid_before(like.not_valid_before_utc)
            .not_valid_after(like.not_valid_after_utc)
            .sign(key, hashes.SHA256())  # type: ignore[arg-type]
            .public_bytes(Encoding.PEM)
        )

    def sign(self, days: float = 90, **options: Any) -> Issued:
        """A certificate for this host's CSR."""
        return self.authority.sign((self.folder / "host.csr").read_bytes(), days, **options)

    def offer(self, leaf: bytes, chain: bytes, *, updated: int | None = None, name: str = "") -> None:
        """Put a certificate into the issuer's database, as the issuer does."""
        values = (name or self.name, chain, leaf, updated or time.time_ns() // 1000)
        self.sql("INSERT OR REPLACE INTO certs (name, enable, ca, crt, ts_expire, ts_last_update)"
                 " VALUES (?, 'Y', ?, ?, 0, ?)", values)  # fmt: skip

    def fill(self, count: int, enrol: Callable[[str, bytes, bytes], None] | None = None) -> None:
        """Enrol *count* certificates for the host's key, the configured one the first of them, and configure all."""
        head, entry = self.config.read_text(encoding="utf-8").split("[[certificate]]")
        key = keys.load(self.key)
        for name in [self.name, *(f"host{number:03d}.example.test" for number in range(1, count))]:
            issued = self.authority.sign(keys.csr(key, (name,)))
            if enrol is None:
                self.offer(issued.cert_pem, issued.chain_pem, name=name)
            else:
                enrol(name, issued.cert_pem, issued.chain_pem)
            if name != self.name:
                file = self.live / f"{name}.pem"
                head += f'[[certificate]]\nname = "{name}"\nkey = "{self.key}"\nprobe = []\n'
                head += f'[certificate.files]\nfullchain = "{file}"\n'
        self.config.write_text(f"{head}[[certificate]]{entry}", encoding="utf-8")

    def offer_new(self, days: float = 90) -> Issued:
        """Sign and offer a good one."""
        issued = self.sign(days)
        self.offer(issued.cert_pem, issued.chain_pem)
        return issued

    def sql(self, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=10)) as connection, connection:
            return connection.execute(statement, tuple(values)).fetchall()

    def reported(self) -> dict[str, Any]:
        """The report of this host in the central table."""
        columns = "name, host, account, sha256, not_after, state, detail, ts_report"
        (row,) = self.sql(f"SELECT {columns} FROM installations WHERE name = ?", [self.name])  # noqa: S608 - our words
        return dict(zip(columns.split(", "), row, strict=True))

    def served_by(self, server: Served, **changes: Any) -> None:
        """Write agent.toml for a server: its check, its activation, and its port on loopback; then as *changes* say."""
        usual = {"check": server.check, "activate": server.activate, "probe": [f"https://127.0.0.1:{server.port}"]}
        self.configure(**usual | changes)

    def configure(
        self,
        *,
        check: Sequence[str] = (),
        activate: Sequence[str] = (),
        probe: Sequence[str] = (),
        source: str = "",
        files: str = "",
        probe_timeout: str = "10s",
        more: str = "",
        trust: str | None = None,
        issuer_key: str = "",
    ) -> None:
        """Write agent.toml. *trust* is the table of that name; without it, the roots are this host's authority's."""
        trust = f'roots = "{self.roots}"' if trust is None else trust
        files = files or f'[certificate.files]\nfullchain = "{self.fullchain}"'
        source = source or f'url = "sqlite:///{self.database}"'
        self.config.write_text(
            f"""state_dir = "{self.state_dir}"
command_timeout = "20s"
probe_timeout = "{probe_timeout}"
[source]
{source}
[trust]
{trust}
issuer_key = "{issuer_key}"
[[certificate]]
name = "{self.name}"
key = "{self.key}"
check = {json.dumps(list(check))}
activate = {json.dumps(list(activate))}
probe = {json.dumps(list(probe))}
{files}
{more}
""",
            encoding="utf-8",
        )

    def agent(
        self, *arguments: str, program: str = AGENT, fresh: bool = False, wrap: Sequence[str] = (), user: int = 0
    ) -> Done:
        """Run certfleet-agent: another *program* in a process of its own, and with an interpreter that has imported
        nothing if *fresh*, as *user* if given, or by *wrap*, words that start the rest."""
        environment = {**os.environ, "CERTFLEET_CONFIG": str(self.config)}
        if arguments[:1] == ("request",):
            environment.pop("CERTFLEET_CONFIG") if not self.config.exists() else None
        if fresh or wrap or user:
            done = self._started([program, *arguments], environment, wrap, user)
        elif program != AGENT or threading.current_thread() is not threading.main_thread():
            ended = forks("agent").run(program, arguments, folder=self.folder, environment=environment)
            done = Done(ended.code, ended.out, ended.err)
        else:
            presence.cache_clear()  # a process looks at its machine once
            with contextlib.chdir(self.folder), patch.dict(os.environ, environment, clear=True):
                ended = run_here(cli.build, arguments)
            done = Done(ended.code, ended.out, ended.err)
        assert "Traceback" not in done.err, done.err
        return done

    def _started(self, words: Sequence[str], environment: dict[str, str], wrap: Sequence[str], user: int) -> Done:
        own = Python((*wrap, sys.executable), {"PYTHONPATH": str(ROOT)}, ())
        python = python_of(user) if user else own
        done = subprocess.run(
            [*python.command, "-W", "error", "-c", *words],
            cwd=self.folder,
            env=environment | python.environment,
            pass_fds=python.folders,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def run(self, *arguments: str, **options: Any) -> Done:
        return self.agent("run", "--json", *arguments, **options)

    def leftovers(self) -> list[Path]:
        """Temporaries beside live files, and anything in the state folder that should be gone after a run."""
        found = [entry for entry in self.live.iterdir() if entry.name.startswith(".")]
        for part in ("journal", "work"):
            if (self.state_dir / part).exists():
                found += (self.state_dir / part).iterdir()
        return found


def sha256(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()
