"""What the daemons that serve a certificate have in common: its files, ports, what an agent would run, what is served.

What is served is asked of `openssl s_client`, so that it tells nothing about our own probe.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from tests.servers.authority import Files, Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import accepts_tcp, program
from tests.servers.server import Server

NAME = "localhost"
SECONDS = 15
# Schemes of our own that openssl has another word for, or that are TLS from the first byte ("")
STARTTLS = {"submission": "smtp", **dict.fromkeys(["https", "imaps", "pop3s", "smtps", "ldaps", "xmpps", "radsec"], "")}


class Service(Server):
    """One daemon for the schemes of `ports`. Its certificate lies in `tls`, readable for the account `user` of it.

    `check` and `activate` are the commands that an agent would run after it has changed the files; [] where the daemon
    has no such command. The folder lies straight below the temporary one: pytest's are closed to other accounts.
    """

    schemes: Sequence[str]
    user = ""  # the daemon's account; "": root's
    check: list[str]
    activate: list[str]

    def __init__(self, issued: Issued) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix=f"certfleet-{type(self).__name__.lower()}-")))
        self.folder.chmod(0o755)
        self.tls = self.folder / "tls"
        self.ports = {scheme: self._own_port() for scheme in self.schemes}
        self.check, self.activate = [], []
        self.files = self.put(issued)

    def put(self, issued: Issued) -> Files:
        """Lay another certificate into the files. The daemon is not told."""
        files = issued.write(self.tls)
        (self.tls / "combined.pem").write_bytes(issued.key_pem + issued.fullchain_pem)
        (self.tls / "combined.pem").chmod(0o600)
        self.give_away(self.tls)
        return files

    def give_away(self, folder: Path) -> None:
        """All that is in a folder belongs to the daemon's account."""
        for path in (folder, *folder.rglob("*")) if self.user else ():
            shutil.chown(path, self.user)

    def target(self, scheme: str = "") -> str:
        """A probe target for it."""
        scheme = scheme or self.schemes[0]
        return f"{scheme}://{NAME}:{self.ports[scheme]}?connect={LOOPBACK}"

    def served(self, scheme: str = "") -> x509.Certificate:
        """The leaf that a client gets now."""
        return x509.load_pem_x509_certificate(self.asked(scheme).encode())

    def asked(self, scheme: str = "", *options: str) -> str:
        """All that `openssl s_client` prints about it. ConnectionError if no certificate is among it."""
        scheme = scheme or self.schemes[0]
        return asked(self.ports[scheme], STARTTLS.get(scheme, scheme), *options)

    def close(self) -> None:
        """Stop for good, give the ports back, remove the folder."""
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _ready(self) -> bool:
        return all(accepts_tcp(LOOPBACK, port) for port in self.ports.values()) and bool(self.served())

    def _write(self, name: str, text: str) -> Path:
        """A file of its configuration."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _folder(self, name: str, user: str = "") -> Path:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        if user and os.geteuid() == 0:
            shutil.chown(path, user)
        return path

    def _signal(self, number: str) -> list[str]:
        """The command that sends it a signal, by its pid file."""
        return ["/bin/sh", "-c", f'kill -{number} "$(cat "$1")"', "signal", str(self.folder / "pid")]


def asked(port: int, starttls: str, *options: str) -> str:
    """All that `openssl s_client` prints about a port; *starttls* is "" for TLS from the first byte. ConnectionError if
    no certificate is among it."""
    command = [program("openssl", "openssl"), "s_client", "-connect", f"{LOOPBACK}:{port}"]
    command += ["-servername", NAME, "-showcerts", *(["-starttls", starttls] if starttls else []), *options]
    command += ["-xmpphost", NAME] if starttls == "xmpp" else []
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if "BEGIN CERTIFICATE" not in done.stdout:
        raise ConnectionError(f"{done.stdout}{done.stderr}")
    return done.stdout
