"""Several virtual hosts of one daemon, each with a certificate of its own, and an agent whose commands are counted."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from cryptography import x509

from agent.host import keys
from common.files import write_atomic
from tests.agent.host import Host
from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.tls import served_certificate


class Daemon(Protocol):
    """The wishes for one: its folder, the port of all its virtual hosts, and the commands of an agent."""

    folder: Path
    check: list[str]
    activate: list[str]

    @property
    def port(self) -> int: ...


class Vhosts:
    """*count* names on *daemon*, an nginx, in front of which *host* has placeholders."""

    def __init__(self, host: Host, daemon: Daemon, count: int, *, own_keys: bool = False) -> None:
        self.host, self.daemon, self.logs = host, daemon, list[str]()
        self.probe_port = daemon.port  # where the agent looks
        self.names = [f"v{number:03d}.example.test" for number in range(count)]
        self.log = host.folder / "commands"
        self._script = host.folder / "counted"
        self._script.write_text(f'#!/bin/sh\necho "$1" >> {self.log}\nshift\nexec "$@"\n')
        self._script.chmod(0o755)
        self._entries: dict[str, str] = {}
        placeholder = self.placeholder()
        for name in self.names:
            self.file(name).write_bytes(self._with_its_key(name) if own_keys else placeholder)
            self.configure(name)
        self.serve(self.names)

    def file(self, name: str) -> Path:
        return self.host.live / f"{name}.pem"

    def key(self, name: str) -> Path:
        """Its own, if it was given one; else the host's."""
        own = self.host.folder / f"{name}.key"
        return own if own.exists() else self.host.key

    def _with_its_key(self, name: str) -> bytes:
        issued = self.host.authority.issue([name])
        write_atomic(self.host.folder / f"{name}.key", issued.key_pem, mode=0o600)
        return issued.fullchain_pem

    def placeholder(self) -> bytes:
        """The first content of a file."""
        return self.host.self_signed()

    def files(self, name: str) -> str:
        """The lines of agent.toml for the file of that name."""
        return f'[certificate.files]\nfullchain = "{self.file(name)}"'

    def serve(self, names: Sequence[str]) -> None:
        """Let the configuration have just these virtual hosts; the daemon is not told."""
        conf = self.daemon.folder / "nginx.conf"
        text = conf.read_text()
        head = text[: text.index("  server {")]
        blocks = [
            f"  server {{ listen {LOOPBACK}:{self.daemon.port} ssl; server_name {name};"
            f" ssl_certificate {self.file(name)}; ssl_certificate_key {self.key(name)}; return 204; }}\n"
            for name in names
        ]
        conf.write_text(f"{head.replace('worker_connections 64', 'worker_connections 1024')}{''.join(blocks)}}}\n")

    def configure(self, name: str, *, files: str = "", activate: list[str] | None = None) -> None:
        """One entry of agent.toml; *files* in place of those that the daemon reads."""
        probe = f"https://{name}:{self.probe_port}?connect={LOOPBACK}"
        self._entries[name] = (
            f'name = "{name}"\nkey = "{self.key(name)}"\nprobe = {json.dumps(probe)}\n'
            f"check = {json.dumps(self.counted('check', self.daemon.check))}\n"
            f"activate = {json.dumps(activate or self.counted('activate', self.daemon.activate))}\n"
            f"{files or self.files(name)}\n"
        )

    def counted(self, word: str, command: list[str]) -> list[str]:
        """The *command*, by a script that notes the *word*."""
        return [str(self._script), word, *command]

    def write(self, probe_timeout: str = "10s") -> None:
        """agent.toml, with every name that was configured."""
        host = self.host
        host.config.write_text(
            f'state_dir = "{host.state_dir}"\ncommand_timeout = "20s"\nprobe_timeout = "{probe_timeout}"\n'
            f'[source]\nurl = "sqlite:///{host.database}"\n[trust]\nroots = "{host.roots}"\n'
            + "".join(f"[[certificate]]\nlogs = {json.dumps(self.logs)}\n{entry}" for entry in self._entries.values())
        )

    def offer(self, *names: str) -> dict[str, Issued]:
        """A new certificate for each name."""
        issued = {}
        for name in names or self.names:
            issued[name] = self.host.authority.sign(keys.csr(keys.load(self.key(name)), (name,)))
            self.host.offer(issued[name].cert_pem, issued[name].chain_pem, name=name)
        return issued

    def served(self, *names: str) -> dict[str, x509.Certificate | None]:
        """The certificates that clients get now, by name; by default all."""
        return {name: served_certificate(self.daemon.port, name) for name in names or self.names}

    def commands(self) -> list[str]:
        """What was run since the last time this was asked, in order."""
        found = self.log.read_text().split() if self.log.exists() else []
        self.log.write_text("")
        return found
