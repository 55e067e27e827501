"""Apache on loopback: HTTPS with the files it is given.

Its own check says nothing about a key that does not fit: `-t` is content, and the graceful restart ends the server.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.servers.ports import LOOPBACK
from tests.servers.process import Process, accepts_tcp, program, wait_until
from tests.servers.tls import WebServer

PACKAGE = "apache2"
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


class Apache(WebServer):
    """One apache2. `check` and `activate` are the commands an agent would run after it has changed the files.

    *more* are lines of its configuration. When the server is down, `activate` starts it again, in the background and no
    child of ours: `stop` finds that one by its pid file, and a guard does when the tests are killed.
    """

    def __init__(self, folder: Path, fullchain: Path, key: Path, *, name: str = "localhost", more: str = "") -> None:
        super().__init__(folder, name)
        self._more = more
        self._guard: Process | None = None
        self._pid_file = folder / "pid"
        self._conf = folder / "apache2.conf"
        self._conf.write_text(self._configuration(fullchain, key), encoding="utf-8")
        self._apache = [program("apache2", PACKAGE), "-f", str(self._conf)]
        self.check = [*self._apache, "-t"]
        self.activate = [*self._apache, "-k", "graceful"]

    def start(self) -> None:
        """Start in the foreground, with its guard beside it, and return once it answers with TLS."""
        if self._guard is None:
            guard = ["/bin/sh", "-c", GUARD, "guard", str(self._pid_file), str(self._conf)]
            self._guard = Process(guard, self.folder / "guard.log")
            self._guard.start()
        super().start()

    def stop(self) -> None:
        """End the server we started, or the one that `activate` has started since."""
        super().stop()
        wait_until(lambda: self._daemon() is not None or not self._starting(), "another one writes its pid file")
        pid = self._daemon()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            # It removes its pid file a little before it closes its port.
            wait_until(lambda: self._daemon() is None and not accepts_tcp(LOOPBACK, self.port), "apache2 has ended")

    def close(self) -> None:
        """Stop for good, the guard last, and give the port back."""
        super().close()
        if self._guard is not None:
            self._guard.stop(signal.SIGKILL)
            self._guard = None

    def alive(self) -> bool:
        """Whether the process runs, ours or one that `activate` has started. Its port may still be shut."""
        return super().alive() or self._daemon() is not None

    def _command(self) -> list[str]:
        return [*self._apache, "-DFOREGROUND"]

    def _daemon(self) -> int | None:
        """The process named by the pid file, if it is an Apache with our configuration and not a stranger."""
        try:
            pid = int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return pid if self._is_ours(Path(f"/proc/{pid}/cmdline")) else None

    def _starting(self) -> bool:
        """Whether there is an Apache with our configuration, be it one that has not written its pid file yet."""
        return any(map(self._is_ours, Path("/proc").glob("[0-9]*/cmdline")))

    def _is_ours(self, command: Path) -> bool:
        try:
            words = command.read_bytes().split(b"\0")
        except OSError:
            return False
        return words[0] == os.fsencode(self._apache[0]) and os.fsencode(self._conf) in words

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
{self._more}
"""
