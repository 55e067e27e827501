"""nginx on loopback: HTTPS with the files it is given, and if wanted a webroot over plain HTTP for http-01."""

import os
from pathlib import Path

from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.tls import WebServer

PACKAGE = "nginx"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx(WebServer):
    """One nginx. `check` and `activate` are the commands an agent would run after it has changed the files.

    *more* are lines of its server block. It is stopped by signal: `-s stop` reads the configuration first, and fails
    when key and certificate differ.
    """

    def __init__(
        self,
        folder: Path,
        fullchain: Path,
        key: Path,
        *,
        name: str = "localhost",
        http_webroot: Path | None = None,
        http_port: int | None = None,
        more: str = "",
    ) -> None:
        super().__init__(folder, name)
        self.http_port = self._own_port(http_port) if http_webroot is not None else http_port
        self._more = more
        conf = folder / "nginx.conf"
        conf.write_text(self._configuration(fullchain, key, http_webroot), encoding="utf-8")
        self._nginx = [
            *(program("nginx", PACKAGE), "-p", str(folder)),
            *("-e", str(folder / "error.log"), "-c", str(conf)),
        ]
        self.check = [*self._nginx, "-t"]
        self.activate = [*self._nginx, "-s", "reload"]

    def _command(self) -> list[str]:
        return self._nginx

    def _configuration(self, fullchain: Path, key: Path, webroot: Path | None) -> str:
        # Workers under the account of the tests: the folders pytest makes are closed to every other one.
        user = "user root;" if os.geteuid() == 0 else ""
        temporary = "\n".join(f"  {kind}_temp_path {self.folder / kind};" for kind in TEMPORARY)
        plain = ""
        if webroot is not None:
            plain = f"  server {{ listen {LOOPBACK}:{self.http_port}; root {webroot}; default_type text/plain;"
            plain += f" access_log {self.folder / 'access.log'}; }}"
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
    {self._more}
    return 204;
  }}
{plain}
}}
"""
