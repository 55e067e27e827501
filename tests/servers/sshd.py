"""OpenSSH's server on loopback, for SFTP: own host keys, one client key, the user who runs the tests."""

import getpass
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.servers.ports import LOOPBACK
from tests.servers.process import accepts_tcp, program, wait_until
from tests.servers.server import Server

PACKAGE = "openssh-server"
CLIENT_PACKAGE = "openssh-client"
_PRIVILEGE_SEPARATION = Path("/run/sshd")  # compiled in, and wanted only when sshd runs as root


class Sshd(Server):
    """One sshd. `key` is the private key that may log in as `user`; `umask` is what its SFTP server works with,
    which with `read_only` lets nobody write; `sftp` is another program in that one's place, and `force` one in
    the place of SFTP and of each command; `sessions` is how many a connection may have at a time. Lines of sshd_config
    that stand in `first` count before ours.

    Root may have it run as another `user`, if that one can reach the folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host_keys: Sequence[str] = ("ed25519",),
        umask: str = "022",
        user: str | None = None,
        read_only: bool = False,
        sftp: str = "",
        force: str = "",
        sessions: int = 10,
        first: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, user=user)
        self.port = self._own_port()
        self.user = user or getpass.getuser()
        self._sftp = sftp or f"internal-sftp -u {umask}" + (" -R" if read_only else "")
        self._force = force
        self._sessions_allowed = sessions
        self._first = tuple(first)
        self._kinds = tuple(host_keys)
        self._conf = folder / "sshd_config"
        for kind in self._kinds:
            self.new_host_key(kind)
        self.key = new_key(folder / "client")
        self._authorized = folder / "authorized_keys"
        self._authorized.write_bytes(self.key.with_name("client.pub").read_bytes())

    def stop(self) -> None:
        """Stop the server and every session."""
        if self._process is not None:
            sessions = self._sessions()
            super().stop()
            _end(sessions)
            # a session that was just born holds the listening socket for a moment
            wait_until(lambda: not accepts_tcp(LOOPBACK, self.port), "sshd has let go of its port")

    def end_sessions(self) -> None:
        """Cut every connection; new ones are accepted."""
        sessions = self._sessions()
        _end(sessions)
        wait_until(lambda: not set(sessions) & set(self._sessions()), "the sessions have ended")

    def logins(self) -> int:
        """How many times somebody has logged in."""
        return (self.folder / "sshd.log").read_text(encoding="utf-8", errors="replace").count("Accepted publickey")

    def new_host_key(self, kind: str = "ed25519") -> None:
        """Another host key of that kind; a running server takes it when it is started anew."""
        new_key(self.folder / f"host_{kind}", kind)

    def host_key_line(self, kind: str = "ed25519", *, host: str = LOOPBACK) -> str:
        """The line of known_hosts for one host key."""
        words = (self.folder / f"host_{kind}.pub").read_text(encoding="ascii").split()
        return f"[{host}]:{self.port} {words[0]} {words[1]}"

    def fingerprint(self, kind: str = "ed25519") -> str:
        """As ssh-keygen prints it."""
        command = [program("ssh-keygen", CLIENT_PACKAGE), "-l", "-f", str(self.folder / f"host_{kind}.pub")]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.split()[1]

    def url(self, path: Path) -> str:
        """A webroot_path on this server."""
        return f"sftp://{self.user}@{LOOPBACK}:{self.port}{path}"

    def _sessions(self) -> list[int]:
        """Processes of connections: each is in a session of its own, out of the group's reach."""
        if self._process is None:
            return []
        number = self._process.pid
        try:
            children = Path(f"/proc/{number}/task/{number}/children").read_text(encoding="ascii")
        except OSError:
            return []
        return [int(word) for word in children.split()]

    def _configure(self) -> None:
        if os.geteuid() == 0 and self._user is None:
            _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self._conf.write_text(self._configuration(), encoding="utf-8")
        if self._user is not None:
            for path in (self.folder, *self.folder.glob("host_*")):
                shutil.chown(path, self._user)

    def _command(self) -> list[str]:
        return [program("sshd", PACKAGE), "-D", "-e", "-f", str(self._conf)]

    def _ready(self) -> bool:
        return accepts_tcp(LOOPBACK, self.port)

    def _configuration(self) -> str:
        lines = [
            *self._first,
            f"Port {self.port}",
            f"ListenAddress {LOOPBACK}",
            *(f"HostKey {self.folder / f'host_{kind}'}" for kind in self._kinds),
            "PidFile none",
            f"AuthorizedKeysFile {shlex.quote(str(self._authorized))}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            f"MaxSessions {self._sessions_allowed}",
            f"Subsystem sftp {self._sftp}",
            f"SetEnv HOME={self.folder}",  # bash reads ~/.bashrc for each command: the one of this machine is no matter
        ]
        if self._force:
            lines.append(f"ForceCommand {self._force}")
        return "\n".join([*lines, ""])


def new_key(file: Path, kind: str = "ed25519", *, passphrase: str = "") -> Path:
    """A new private key, its public half beside it as .pub."""
    for old in (file, Path(f"{file}.pub")):
        old.unlink(missing_ok=True)
    bits = ["-b", "2048"] if kind == "rsa" else []  # 3072, its own choice, takes four times as long
    command = [program("ssh-keygen", CLIENT_PACKAGE), "-q", "-t", kind, *bits, "-N", passphrase, "-f", str(file)]
    subprocess.run(command, check=True, timeout=60)
    return file


def _end(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
