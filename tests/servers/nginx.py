"""nginx on loopback: HTTPS with the files it is given, and if wanted a webroot over plain HTTP for http-01."""

import os
from pathlib import Path
from typing import Self

from cryptography import x509

from tests.servers.ports import free_port, release_port
from tests.servers.process import Process, program
from tests.servers.tls import LOOPBACK, completes_handshake, served_certificate

PACKAGE = "nginx"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx:
    """One nginx. `check` and `activate` are the commands an agent would run after it has changed the files."""

    def __init__(
        self,
        folder: Path,
        fullchain: Path,
        key: Path,
        *,
        name: str = "localhost",
        http_webroot: Path | None = None,
        http_port: int | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self.port = free_port()
        self.http_port = http_port
        self._own_http_port: int | None = None
        if http_webroot is not None and http_port is None:
            self.http_port = self._own_http_port = free_port()
        self._process: Process | None = None
        folder.mkdir(parents=True, exist_ok=True)
        conf = folder / "nginx.conf"
        conf.write_text(self._configuration(fullchain, key, http_webroot), encoding="utf-8")
        self._command = [
            *(program("nginx", PACKAGE), "-p", str(folder)),
            *("-e", str(folder / "error.log"), "-c", str(conf)),
        ]
        self.check = [*self._command, "-t"]
        self.activate = [*self._command, "-s", "reload"]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def start(self) -> None:
        """Start and return once it answers with TLS."""
        self._process = Process(self._command, self.folder / "nginx.log")
        self._process.start()
        self._process.wait_until(lambda: completes_handshake(self.port, self.name), "nginx answers with TLS")

    def stop(self) -> None:
        """Stop by signal: `-s stop` reads the configuration first, and fails when key and certificate differ."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def close(self) -> None:
        """Stop for good and give the ports back."""
        self.stop()
        for port in (self.port, self._own_http_port):
            if port is not None:
                release_port(port)

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.alive()

    def served(self, name: str | None = None) -> x509.Certificate:
        """The certificate it presents now."""
        return served_certificate(self.port, name or self.name)

    def _configuration(self, fullchain: Path, key: Path, webroot: Path | None) -> str:
        # Workers under the account of the tests: the folders pytest makes are closed to every other one.
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "\n".join(f"  {kind}_temp_path {self.folder / kind};" for kind in TEMPORARY)
        plain = ""
        if webroot is not None:
            plain = f"  server {{ listen {LOOPBACK}:{self.http_port}; root {webroot}; default_type text/plain; }}"
        return f"""daemon off;
{user}
worker_processes 1;
pid {self.folder / "pid"};
events {{ worker_connections 64; }}
http {{
  access_log off;
{temporary}
  server {{
    listen {LOOPBACK}:{self.port} ssl;
    server_name {self.name};
    ssl_certificate {fullchain};
    ssl_certificate_key {key};
    return 204;
  }}
{plain}
}}
"""
