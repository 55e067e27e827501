"""`openssl s_server` with a certificate for each type of key and a staple that it is given."""

from pathlib import Path

from tests.servers.authority import Files
from tests.servers.ports import LOOPBACK
from tests.servers.process import program
from tests.servers.tls import WebServer


class SServer(WebServer):
    """*options*: further words, like -tls1_2. It answers every handshake, and nothing in it."""

    def __init__(self, folder: Path, one: Files, other: Files, staple: bytes, *options: str) -> None:
        super().__init__(folder, "localhost")
        self._staple = folder / "staple.der"
        self._staple.write_bytes(staple)
        first = ["-cert", str(one.cert), "-cert_chain", str(one.chain), "-key", str(one.key)]
        second = ["-dcert", str(other.cert), "-dcert_chain", str(other.chain), "-dkey", str(other.key)]
        self._words = [*first, *second, "-status_file", str(self._staple), "-quiet", *options]

    def _command(self) -> list[str]:
        return [program("openssl", "openssl"), "s_server", "-accept", f"{LOOPBACK}:{self.port}", *self._words]
