"""Apache on loopback: HTTPS with the files it is given.

Its own check says nothing about a key that does not fit: `-t` is content, and the graceful restart ends the server.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Self

from cryptography import x509

from tests.servers.ports import free_port, release_port
from tests.servers.process import Process, ServerFailed, accepts_tcp, program, wait_until
from tests.servers.tls import LOOPBACK, completes_handshake, served_certificate

PACKAGE = "apache2"
WRITE_SECONDS = 0.5
MODULES = Path("/usr/lib/apache2/modules")

# Ends an Apache in the background when its parent ends; it may be only about to write its pid file.
GUARD = """
end() {
    kill $!
    for _ in 1 2 3 4 5; do
        read -r pid <"$1" && grep -qsF -- "$2" "/proc/$pid/cmdline" && kill "$pid" && break
        sleep 0.2
    done
    exit
}
trap 'end "$1" "$2"' TERM
sleep infinity & wait
"""


class Apache:
    """One apache2. `check` and `activate` are the commands an agent would run after it has changed the files.

    When the server is down, `activate` starts it again, in the background and no child of ours: `stop` finds that
    one by its pid file, and a guard does when the tests are killed.
    """

    def __init__(self, folder: Path, fullchain: Path, key: Path, *, name: str = "localhost") -> None:
        self.folder = folder
        self.name = name
        self.port = free_port()
        self._process: Process | None = None
        self._guard: Process | None = None
        self._pid_file = folder / "pid"
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "apache2.log"
        self._conf = folder / "apache2.conf"
        self._conf.write_text(self._configuration(fullchain, key), encoding="utf-8")
        self._command = [program("apache2", PACKAGE), "-f", str(self._conf)]
        self.check = [*self._command, "-t"]
        self.activate = [*self._command, "-k", "graceful"]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Start in the foreground and return once it answers with TLS."""
        if self._guard is None:
            self._guard = Process(["/bin/sh", "-c", GUARD, "guard", str(self._pid_file), str(self._conf)], self._log)
            self._guard.start()
        self._process = Process([*self._command, "-DFOREGROUND"], self._log)
        self._process.start()
        self._process.wait_until(lambda: completes_handshake(self.port, self.name), "apache2 answers with TLS")

    def stop(self) -> None:
        """End the server we started, or the one that `activate` has started since."""
        process, self._process = self._process, None
        ended_by_itself = process is not None and not process.alive()
        if process is not None:
            process.stop()
        if ended_by_itself:
            with suppress(ServerFailed):
                wait_until(lambda: self._daemon() is not None, "another one writes its pid file", WRITE_SECONDS)
        pid = self._daemon()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            # It removes its pid file a little before it closes its port.
            wait_until(lambda: self._daemon() is None and not accepts_tcp(LOOPBACK, self.port), "apache2 has ended")

    def close(self) -> None:
        """Stop for good and give the port back."""
        self.stop()
        if self._guard is not None:
            self._guard.stop(signal.SIGKILL)
            self._guard = None
        release_port(self.port)

    def alive(self) -> bool:
        """Whether the process runs, ours or one that `activate` has started. Its port may still be shut."""
        return (self._process is not None and self._process.alive()) or self._daemon() is not None

    def served(self, name: str | None = None) -> x509.Certificate:
        """The certificate it presents now."""
        return served_certificate(self.port, name or self.name)

    def _daemon(self) -> int | None:
        """The process named by the pid file, if it is an Apache with our configuration and not a stranger."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self._conf) in command.split(b"\0") else None

    def _configuration(self, fullchain: Path, key: Path) -> str:
        # Mutexes in memory: workers cannot open files in the folders pytest makes, which are closed to www-data.
        modules = "\n".join(
            f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in ("mpm_event", "authz_core", "ssl")
        )
        user = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
        return f"""ServerRoot "{self.folder}"
ServerName {self.name}
PidFile "{self._pid_file}"
ErrorLog "{self.folder / "error.log"}"
Mutex pthread default
{modules}
{user}
StartServers 1
ServerLimit 2
ThreadsPerChild 8
MaxRequestWorkers 16
MinSpareThreads 1
MaxSpareThreads 16
Listen {LOOPBACK}:{self.port} https
SSLSessionCache none
SSLEngine on
SSLCertificateFile "{fullchain}"
SSLCertificateKeyFile "{key}"
"""
