"""One central box as a test drives it: its configuration file, and the real command line in this process or another."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography import x509

from common import files
from common.certificate import parse_bundle
from common.config_file import load
from issuer import cli
from issuer.commands import by_hand, issuing
from issuer.commands.wiring import build_authority, build_tools
from issuer.journey.ports import Tools
from issuer.model.config import Settings
from issuer.model.timing import Timing
from issuer.rules import retry
from issuer.rules.csr import read_csr
from issuer.store.orders import Orders
from issuer.store.revision import open_database
from issuer.trust.seals import Seals
from issuer.trust.statements import Statements
from tests.issuer.migrated import migrated
from tests.issuer.signing_requests import csr
from tests.servers.anyone import Python, python_of
from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.database import Database, Row
from tests.servers.forks import Forked, forks
from tests.servers.here import run_here
from tests.servers.pebble import Pebble

ROOT = Path(__file__).parents[2]
TABLES = ("certs", "orders", "challenges", "versions", "events", "installations")
_SEAL_KEYS: dict[str, bytes] = {}  # by the URL of the database
_START = "from issuer.cli import main; main()"
NOBODY = "127.0.0.1:9"  # port 9 discards: no resolver listens there


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a person sees of one command."""

    code: int
    out: str
    err: str

    def report(self) -> Any:
        """The --json document."""
        return json.loads(self.out)


class Box:
    """A configured issuer. `document` is issuer.toml as a dictionary; `write` after a change.

    Its resolver is the test's own BIND, or nobody: what the machine's own would say is no business of a test.
    """

    def __init__(
        self, folder: Path, database: Database, *, bind: Bind | None = None, pebble: Pebble | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database = database
        self.bind = bind
        self.config = folder / "issuer.toml"
        self.state_dir = folder / "state"
        self.csr_dir = folder / "csr"
        self.first_pause = 0.02  # seconds before a step is repeated at once; 0.5 as shipped
        self.document: dict[str, Any] = {
            "state_dir": str(self.state_dir),
            "csr_dir": str(self.csr_dir),
            "database": {
                "url": database.url,
                "password_file": str(database.password_file or ""),
                "tls_ca": str(database.tls_ca or ""),
            },
            "acme": {},
            "dns": {"resolvers": [NOBODY if bind is None else bind.endpoint]},
            "renewal": {"retry": ["1h"], "max_run": "0s"},
        }
        if bind is not None:
            key = bind.tsig_key("acme")
            self.document["dns"] |= {
                "server": bind.address,
                "port": bind.port,
                "tsig_key_file": str(key),
                "nameservers": [bind.endpoint],
            }
        if pebble is not None:
            self.trust(pebble)
        self.write()

    def trust(self, pebble: Pebble) -> None:
        """Use this CA."""
        self.document["acme"] |= {"directory": pebble.directory, "ca_bundle": str(pebble.ca_file)}

    def write(self, **changes: dict[str, Any]) -> None:
        """Write issuer.toml, after merging *changes* into its tables."""
        for section, values in changes.items():
            self.document[section] |= values
        self.config.write_text(_toml(self.document), encoding="utf-8")

    def set_up(self) -> None:
        """What a sysadmin does once. A second issuer on a database gets the seal key of the first."""
        self.ok("init")
        key = self.state_dir / "seal.key"
        files.write_atomic(key, _SEAL_KEYS.setdefault(self.database.url, key.read_bytes()), mode=0o600)
        migrated(self.database, lambda: self.ok("db", "upgrade"))

    def run(self, *words: str, stdin: bytes = b"") -> Outcome:
        """One command in this process. No traceback ever reaches a user, whatever the command was."""
        with patch.object(retry, "_FIRST_PAUSE", self.first_pause):
            ended = run_here(cli.build, ["--config", str(self.config), *words], stdin=stdin)
        outcome = Outcome(ended.code, ended.out, ended.err)
        assert "Traceback" not in outcome.out + outcome.err, outcome.err
        assert "a fault in certfleet itself" not in outcome.out + outcome.err, outcome.err
        return outcome

    @contextlib.contextmanager
    def timed(self, **changes: float) -> Iterator[None]:
        """For commands in this process, as long as the block lasts: other waits than those that are shipped."""
        timing = dataclasses.replace(Timing(), **changes)  # type: ignore[arg-type]

        def build(*given: Any) -> Tools:
            return dataclasses.replace(build_tools(*given), timing=timing)

        with patch.object(issuing, "build_tools", build), patch.object(by_hand, "build_tools", build):
            yield

    def ok(self, *words: str, stdin: bytes = b"") -> Outcome:
        """A command that has to succeed."""
        outcome = self.run(*words, stdin=stdin)
        assert outcome.code == 0, f"{' '.join(words)}: exit code {outcome.code}\n{outcome.out}\n{outcome.err}"
        return outcome

    def start(self, *words: str) -> Forked:
        """One command in a process of its own, for signals; it never outlives this one."""
        words = ("--config", str(self.config), *words)
        return forks("issuer").start(self._program, words, folder=ROOT, environment=os.environ)

    def start_anew(self, *words: str, user: int = 0, wrap: Sequence[str] = ()) -> "subprocess.Popen[str]":
        """The same in an interpreter of its own, which takes ten times as long: as *user* if given, or by *wrap*, words
        that start the words after them."""
        own = Python(("setpriv", "--pdeathsig", "KILL", "--", *wrap, sys.executable), {"PYTHONPATH": str(ROOT)}, ())
        python = python_of(user) if user else own
        return subprocess.Popen(
            [*python.command, "-c", self._program, "--config", str(self.config), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | python.environment,
            pass_fds=python.folders,
        )

    @property
    def _program(self) -> str:
        return f"from issuer.rules import retry; retry._FIRST_PAUSE = {self.first_pause}; {_START}"

    def add_zone(self, *names: str, key: str = "acme") -> None:
        """A dynamic sub-zone for each name, described on the name server but not yet served."""
        assert self.bind is not None
        for name in names:
            self.bind.dynamic_zone(f"_acme-challenge.{name.removeprefix('*.')}", key)

    def put_csr(self, name: str, content: bytes) -> Path:
        """The CSR where `populate NAME` looks for it."""
        self.csr_dir.mkdir(exist_ok=True)
        file = self.csr_dir / f"{name}.csr"
        file.write_bytes(content)
        return file

    def enrol(self, *names: str, kind: str = "ecdsa-p256", key: str = "acme") -> str:
        """Sub-zones for *names* served, and one certificate for all of them populated and enabled; its name."""
        assert self.bind is not None
        self.add_zone(*names, key=key)
        self.bind.reconfigure()
        return self.populate(*names, kind=kind)

    def populate(self, *names: str, kind: str = "ecdsa-p256") -> str:
        """One certificate for *names* populated and enabled; its name."""
        name = names[0]
        self.ok("populate", name, "--csr", "-", "--enable", stdin=csr(names, kind))
        return name

    def put_aged(self, name: str, *, days: float, left: float) -> None:
        """A certificate of ours for *name* in its row that lives *days*, of which *left* are left; it is looked at
        next."""
        begin = datetime.now(UTC) - timedelta(days=days - left)
        request, before = self.row(name, "csr", "statement")
        issued = Authority("Old root").intermediate("Old CA").sign(read_csr(bytes(request)).pem, days, begin)
        text = Statements(self.state_dir).sign(name, parse_bundle(issued.cert_pem), before or "", int(time.time()))
        values = f"crt = X'{issued.cert_pem.hex()}', ca = X'{issued.chain_pem.hex()}'"
        values += f", ts_expire = {int(time.time() + left * 86400)}, due_at = NULL"
        values += f", statement = '{text}'"
        self.database.execute(f"UPDATE certs SET {values} WHERE name = '{name}'")  # noqa: S608

    def forget_validations(self) -> None:
        """The CA lets go of each authorization that it has given, so that the next order of a name has to answer a
        challenge. Pebble itself gives a valid one to a new order once in a hundred times, whatever it is told."""
        with contextlib.closing(build_authority(load(Settings, self.config), "")) as ca:
            for _, url in self.orders():
                for authorization in ca.order(url).authorizations:
                    if ca.authorization(authorization).status == "valid":
                        ca.deactivate(authorization)

    def row(self, name: str, *columns: str) -> Row:
        """Columns of one row of certs."""
        [row] = self.database.query(f"SELECT {', '.join(columns)} FROM certs WHERE name = '{name}'")  # noqa: S608
        return row

    def serial(self, name: str) -> int:
        """The serial number of its present certificate."""
        return x509.load_pem_x509_certificate(bytes(self.row(name, "crt")[0])).serial_number

    def orders(self, name: str = "") -> list[Row]:
        """(state, url) of every order, oldest first."""
        where = f"WHERE name = '{name}'" if name else ""
        return self.database.query(f"SELECT state, url FROM orders {where} ORDER BY id")  # noqa: S608

    def change_orders(self, change: str) -> None:
        """A statement of SQL, after which each order under way is as if issuers had written it so."""
        self.database.execute(change)
        seals, now = Seals(self.state_dir), int(time.time())
        store = open_database(load(Settings, self.config).database)
        with contextlib.closing(store):
            own = Orders(store, "", seals)
            for record in [*own.under_way(now), *own.withheld(now)]:
                self.database.execute(f"UPDATE orders SET seal = '{seals.of_order(record)}' WHERE id = {record.id}")  # noqa: S608

    def contents(self) -> dict[str, list[Row]]:
        """Every row of every table, to see that nothing has changed."""
        return {table: self.database.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}  # noqa: S608

    def txt(self, name: str) -> set[str]:
        """What the zone shows for a name now."""
        assert self.bind is not None
        return self.bind.txt(f"_acme-challenge.{name.removeprefix('*.')}")

    def refused(self, *words: str, code: int, says: Sequence[str], stdin: bytes = b"") -> Outcome:
        """A command that has to refuse: one error on stderr with every phrase of *says* and what to do about it."""
        outcome = self.run(*words, stdin=stdin)
        assert outcome.code == code, f"exit code {outcome.code}\n{outcome.out}\n{outcome.err}"
        assert outcome.err.startswith("error: "), outcome.err
        assert "what to do: " in outcome.err, outcome.err
        for phrase in says:
            assert phrase in outcome.err, f"{phrase!r} is not in: {outcome.err}"
        return outcome

    def fails(self, *words: str, says: Sequence[str]) -> Outcome:
        """A run that ends with exit code 1 and names every phrase of *says* in the line of the certificate."""
        outcome = self.run(*words)
        assert outcome.code == 1, f"exit code {outcome.code}\n{outcome.out}\n{outcome.err}"
        for phrase in says:
            assert phrase in outcome.out + outcome.err, f"{phrase!r} is not in: {outcome.out}{outcome.err}"
        return outcome


def _toml(document: dict[str, Any], prefix: str = "") -> str:
    """Plain values first, then tables; JSON's spelling of texts, numbers, booleans and lists is TOML's too."""
    lines = []
    tables = []
    for key, value in document.items():
        if isinstance(value, dict):
            tables.append(f"[{prefix}{key}]\n{_toml(value, f'{prefix}{key}.')}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            tables += [f"[[{prefix}{key}]]\n{_toml(item, f'{prefix}{key}.')}" for item in value]
        else:
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*lines, *tables, ""])
