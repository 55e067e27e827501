"""HAProxy on loopback: https by itself, and as behind a load balancer, whose PROXY header it wants."""

from collections.abc import Sequence

from tests.servers.authority import Issued
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.service import Service

PACKAGE = "haproxy"


class Haproxy(Service):
    """One haproxy in the foreground, with its master process. *bind* is more of each line that listens."""

    schemes: Sequence[str] = ("https",)

    def __init__(self, issued: Issued, bind: str = "") -> None:
        super().__init__(issued)
        self.behind = self._own_port()  # wants the PROXY header
        self._bind = bind
        self._conf = self.folder / "haproxy.cfg"
        self.check = [program("haproxy", PACKAGE), "-c", "-f", str(self._conf)]
        self.activate = self._signal("USR2")

    def _configure(self) -> None:
        ssl = f"ssl crt {self.tls}/combined.pem {self._bind}"
        text = f"""global
  stats socket {self.folder}/sock mode 600 level admin
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend f
  bind {LOOPBACK}:{self.ports["https"]} {ssl}
  bind {LOOPBACK}:{self.behind} accept-proxy {ssl}
  http-request return status 204
"""
        self._write("haproxy.cfg", text)

    def _command(self) -> list[str]:
        return [program("haproxy", PACKAGE), "-W", "-q", "-f", str(self._conf), "-p", str(self.folder / "pid")]
