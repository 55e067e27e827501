"""A host without an agent: another folder behind a real sshd, worked on by an agent that is elsewhere."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.agent.host import Host
from tests.servers.nginx import Nginx
from tests.servers.sshd import Sshd


class RemoteSite:
    """*host* has agent, state folder and database; key and live files lie in the folder of *sshd*'s machine."""

    def __init__(self, host: Host, sshd: Sshd, folder: Path) -> None:
        self.host, self.sshd, self.folder = host, sshd, folder
        self.pins = host.folder / "ssh_host_keys"
        self.port = sshd.port
        self.pin(sshd.host_key_line())

    @property
    def url(self) -> str:
        return f"ssh://{self.sshd.user}@127.0.0.1:{self.port}"

    def pin(self, *lines: str) -> None:
        self.pins.write_text("\n".join([*lines, ""]), encoding="ascii")

    def behind(self, port: int) -> None:
        """Let the agent reach it at another port."""
        self.pin(self.sshd.host_key_line().replace(f":{self.port} ", f":{port} "))
        self.port = port

    @property
    def settings(self) -> str:
        return f'host = "{self.url}"\nssh_key_file = "{self.sshd.key}"\nssh_host_keys = "{self.pins}"\n'

    def configure(
        self,
        *,
        check: Sequence[str] = (),
        activate: Sequence[str] = (),
        probe: Sequence[str] = (),
        files: str = "",
        probe_timeout: str = "10s",
    ) -> None:
        files = files or f'[certificate.files]\nfullchain = "{self.host.fullchain}"'
        self.host.configure(
            check=check, activate=activate, probe=probe, files=self.settings + files, probe_timeout=probe_timeout
        )


def is_as_before(host: Host, nginx: Nginx, first: bytes) -> bool:
    return host.fullchain.read_bytes() == first and nginx.served() == host.first.certificate and not host.leftovers()


def own_preset(host: Host, own: Sequence[str]) -> str:
    """Write a preset of the operator's whose unit is not there, so that the *own* command of the daemon is used.
    Returns the lines of a certificate's entry that name it and the live file."""
    lines = [
        'note = "Ours."',
        'units = ["no-such-unit"]',
        'programs = ["no-such-program", "sh"]',
        'activate = "reload"',
    ]
    (host.folder / "presets").mkdir()
    (host.folder / "presets" / "mine.toml").write_text("\n".join([*lines, f"own = {json.dumps(own)}", ""]))
    return f'service = "mine"\n[certificate.files]\nfullchain = "{host.fullchain}"'
