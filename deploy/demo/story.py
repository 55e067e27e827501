"""The demo as a list of steps: from an empty host to a certificate that is served, and then to the next one."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from common.command_line import say
from deploy.demo.machine import Machine, show, step
from deploy.demo.proofs import MARK, Proofs, column, fields, holders, key_traces
from deploy.demo.stage import DOMAIN, PRIMARY, NameServer
from tests.servers.nginx import Nginx
from tests.servers.pebble import Pebble
from tests.servers.ports import LOOPBACK

NAME = f"www.{DOMAIN}"
ALSO = f"shop.{DOMAIN}"


class Story:
    """Two machines, host/ and issuer/ below *folder*; the other folders there belong to the servers."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self.folder = folder
        self.proofs = Proofs()
        self._running = running
        self.host = Machine("host", folder / "host", folder / "host" / "agent.toml")
        self.issuer = Machine("issuer", folder / "issuer", folder / "issuer" / "issuer.toml")
        for machine in (self.host, self.issuer):
            machine.folder.mkdir()
        self.key = self.host.folder / f"{NAME}.key"
        self.fullchain = self.host.folder / f"{NAME}.fullchain.crt"
        self.database = self.issuer.folder / "state" / "certfleet.db"

    def tell(self) -> None:
        """The steps, in order."""
        chapters: list[tuple[str, str, Callable[[], None]]] = [
            ("The world outside", "A name server and an ACME server (Pebble), private, on loopback.", self.world),
            ("On the host: a key that will never leave it", "One key, a CSR for two names.", self.request),
            ("On the host: nginx runs already", "With a placeholder, as before the first certificate.", self.serve),
            ("On the issuer: set up", "A TSIG key, a configuration, an account key, a database.", self.set_up),
            ("On the issuer: one sub-zone for each name", "The output is pasted into BIND as printed.", self.delegate),
            ("On the issuer: enrol", "The CSR is public; it is all that travels.", self.enrol),
            ("On the issuer: the daily run", "ACME order, TXT records, wait, validate, store, tidy up.", self.issue),
            ("On the host: the daily run", "Pull, verify, install, reload, look at the socket.", self.install),
            ("Proof: what the socket serves", "Asked by openssl, trusting the CA's root and nothing else.", self.prove),
            ("Proof: key and certificate belong together", "The classic modulus check.", self.prove_modulus),
            (
                "Proof: the private key stayed at home",
                "Searched: files, and the database value by value.",
                self.prove_home,
            ),
            ("Renewal", "The same again, before its time; old and new serial as served.", self.renew),
            ("Proof: nothing is left in the DNS", "And the parent zone is as it was written.", self.prove_dns),
        ]
        for number, (title, explanation, chapter) in enumerate(chapters, start=1):
            step(f"{number}/{len(chapters)}  {title}", explanation)
            chapter()

    def world(self) -> None:
        self.dns = self._running.enter_context(NameServer(self.folder / "dns"))
        # None: Pebble as shipped, which refuses 5 % of the nonces and takes its time to validate
        pebble = Pebble(self.folder / "ca", self.dns.endpoint, nosleep=None, nonce_reject=None)
        self.ca = self._running.enter_context(pebble)
        self.root = self.folder / "ca" / "root.pem"
        self.root.write_bytes(self.ca.root())
        say(f"  BIND at {self.dns.endpoint}, Pebble at {self.ca.directory}")

    def request(self) -> None:
        self.nginx = Nginx(self.folder / "nginx", self.fullchain, self.key, name=NAME)
        self._running.callback(self.nginx.close)
        here = f"{LOOPBACK}:{self.nginx.port}"
        self.targets = [f"https://{name}:{self.nginx.port}?connect={here}" for name in (NAME, ALSO)]
        self.host.write(
            self.host.config,
            f"""state_dir = "{self.host.folder / "state"}"

[source]                               # the demo's database is a file; yours is mysql://agent-web1@db.example.com/…
url = "sqlite:///{self.database}"

[trust]                                # Pebble's root is new each time; without this, the system's store counts
roots = "{self.root}"

[[certificate]]
name     = "{NAME}"
names    = {json.dumps([NAME, ALSO])}
key      = "{self.key}"
service  = "nginx"
check    = {json.dumps(self.nginx.check)}
activate = {json.dumps(self.nginx.activate)}
probe    = {json.dumps(self.targets)}

[certificate.files]
fullchain = "{self.fullchain}"
""",
        )
        self.host.run("certfleet-agent", "request", NAME, "--key-type", "rsa2048")
        self.host.run("ls", "-l", self.key.name, f"{NAME}.csr")

    def serve(self) -> None:
        placeholder = ["-x509", "-key", self.key.name, "-subj", "/CN=placeholder", "-days", "1"]
        self.host.run("openssl", "req", *placeholder, "-out", self.fullchain.name)
        self.nginx.start()
        say(f"  nginx at {LOOPBACK}:{self.nginx.port}")

    def set_up(self) -> None:
        self.issuer.shell("umask 077; tsig-keygen -a hmac-sha256 certfleet > tsig.key")
        self.issuer.write(
            self.issuer.config,
            f"""state_dir = "{self.issuer.folder / "state"}"
csr_dir   = "{self.issuer.folder / "csr"}"

[database]
url = "sqlite:///{self.database}"

[acme]
directory = "{self.ca.directory}"
ca_bundle = "{self.ca.ca_file}"

[dns]
server        = "{LOOPBACK}"
port          = {self.dns.port}
tsig_key_file = "{self.issuer.folder / "tsig.key"}"
nameservers   = ["{self.dns.endpoint}"]      # the demo's DNS is not port 53 of the world
resolvers     = ["{self.dns.endpoint}"]

[renewal]
max_run = "3m"
""",
        )
        self.issuer.run("certfleet-issuer", "init")
        self.issuer.run("certfleet-issuer", "db", "upgrade")

    def delegate(self) -> None:
        command = ["certfleet-issuer", "zone", NAME, ALSO, "--ns", PRIMARY]
        self.issuer.run(*command)
        recipes = json.loads(self.issuer.quietly(*command, "--json"))
        self.zones = [str(recipe["zone"]) for recipe in recipes]
        self.dns.take(recipes)
        self.parent = self.dns.parent_file.read_bytes()
        say("  pasted into BIND's configuration, zone files and parent zone, reloaded: both sub-zones answer")

    def enrol(self) -> None:
        self.issuer.run("cp", f"../host/{NAME}.csr", "csr/")
        self.issuer.run("certfleet-issuer", "populate", NAME)
        self.issuer.run("certfleet-issuer", "enable", NAME)

    def issue(self) -> None:
        self.issuer.run("certfleet-issuer", "run")
        self.issuer.run("certfleet-issuer", "status")

    def install(self) -> None:
        self.host.run("certfleet-agent", "run")

    def prove(self) -> None:
        served = self.served()
        stored = column(self.database, NAME, "crt")
        names = {part.strip() for part in served["names"].split(",")}
        self.proofs.that(names == {f"DNS:{NAME}", f"DNS:{ALSO}"}, "both names are served, and no other")
        self.proofs.that("Pebble" in served["issuer"], f"it was issued by {served['issuer']}")
        self.proofs.that(served["pem"] in stored, f"serial {served['serial']} is the one in the database")
        self.host.run("certfleet-agent", "probe", *self.targets)
        self.serial = served["serial"]

    def served(self) -> dict[str, str]:
        """Show what openssl gets from the socket; it refuses a certificate that does not verify for the name."""
        who = f"-connect {LOOPBACK}:{self.nginx.port} -servername {NAME} -verify_hostname {NAME}"
        trust = "-verify_return_error -CAfile ../ca/root.pem"
        self.host.shell(f"openssl s_client {who} {trust} </dev/null 2>/dev/null | openssl x509 -out served.pem")
        seen = self.host.run(
            *("openssl", "x509", "-in", "served.pem", "-noout", "-serial", "-issuer", "-dates"),
            *("-ext", "subjectAltName"),
        )
        names = seen[seen.index("DNS:") :].splitlines()[0]
        pem = (self.host.folder / "served.pem").read_text(encoding="ascii").strip()
        return {**fields(seen), "names": names, "pem": pem}

    def prove_modulus(self) -> None:
        of_leaf = self.host.shell("openssl x509 -noout -modulus -in served.pem | openssl md5").split()[-1]
        of_key = self.host.shell(f"openssl rsa -noout -modulus -in {self.key.name} | openssl md5").split()[-1]
        kept = column(self.database, NAME, "md5_modulus")
        say(f"  | md5_modulus in the database: {kept}")
        self.proofs.that(of_leaf == of_key, "the served certificate and the key on the host have the same modulus")
        self.proofs.that(kept == of_key, "md5_modulus in the database is what openssl prints")

    def prove_home(self) -> None:
        traces = key_traces(self.key)
        say(f"  | the key: {self.key}, mode {self.key.stat().st_mode & 0o777:04o}")
        at_home = holders(self.host.folder, None, traces)
        say(f"  | files on the host that hold it or a part of it: {', '.join(at_home)}")
        self.proofs.that(at_home == [self.key.name], "the search finds the key on the host, in its one file")
        away = holders(self.issuer.folder, self.database, traces)
        self.proofs.that(not away, "no file and no value in the database on the issuer's side holds any of it")
        others = holders(self.issuer.folder, self.database, [MARK])
        say(f"  | private keys on the issuer's side: {', '.join(others)} (its own account with the CA, its signature)")
        self.proofs.that(
            sorted(others) == ["state/account.pem", "state/statement.pem"],
            "the issuer's only private keys are that of its ACME account and that by which it signs statements",
        )
        self.proofs.that(self.key.stat().st_mode & 0o077 == 0, "the key's file is closed to everybody but its owner")

    def renew(self) -> None:
        self.issuer.run("certfleet-issuer", "reissue", NAME)
        self.host.run("certfleet-agent", "run")
        served = self.served()
        show(f"serial served before  {self.serial}\nserial served now     {served['serial']}")
        self.proofs.that(served["serial"] != self.serial, "the socket serves another certificate than before")
        self.proofs.that(served["pem"] in column(self.database, NAME, "crt"), "it is the one in the database")
        self.proofs.that(
            self.serial_in("old_crt") == self.serial, "the one before is kept in the database, should it be needed"
        )
        self.host.run("certfleet-agent", "run")
        self.host.run("certfleet-agent", "status")

    def serial_in(self, what: str) -> str:
        """The serial of a certificate in the database, as openssl prints it."""
        (self.folder / "stored.pem").write_text(column(self.database, NAME, what), encoding="ascii")
        printed = self.issuer.run("openssl", "x509", "-noout", "-serial", "-in", "../stored.pem")
        return fields(printed)["serial"]

    def prove_dns(self) -> None:
        for zone in self.zones:
            seen = self.dns.look(zone)
            show(f"{zone}: serial {seen.serial} (1 when it was made), TXT records: {len(seen.values)}")
            self.proofs.that((seen.serial or 0) > 1 and not seen.values, f"{zone} was used, and is empty again")
        untouched = self.parent == self.dns.parent_file.read_bytes() and self.dns.look(DOMAIN).serial == 2
        self.proofs.that(untouched, f"the hand-written zone {DOMAIN} was never updated")
