"""`openssl ocsp` as the responder of an authority."""

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from tests.servers.authority import Authority
from tests.servers.process import program
from tests.servers.server import Server


class Responder(Server):
    """It knows the certificates *good* and *revoked* and no others. A delegate of the authority signs its answers. It
    takes a number as its port, and listens on every address."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        port: int,
        *,
        good: Sequence[x509.Certificate] = (),
        revoked: Sequence[x509.Certificate] = (),
    ):
        super().__init__(folder)
        self.port = port
        self._ca = authority.write(folder)
        self._signer = authority.responder().write(folder / "signer")
        self._log = folder / "openssl.log"
        self._index = folder / "index.txt"
        lines = [_line("V", "", one) for one in good] + [
            _line("R", "261120000000Z,keyCompromise", one) for one in revoked
        ]
        self._index.write_text("".join(lines), encoding="ascii")

    def _command(self) -> list[str]:
        signer = ["-rsigner", str(self._signer.cert), "-rkey", str(self._signer.key)]
        served = ["-port", str(self.port), "-index", str(self._index), "-CA", str(self._ca), "-ndays", "1"]
        return [program("openssl", "openssl"), "ocsp", *served, *signer, "-ignore_err"]

    def _configure(self) -> None:
        self._log.unlink(missing_ok=True)

    def _ready(self) -> bool:
        """By its log: a connection without a question hangs it for good."""
        return "waiting for OCSP client connections" in self._log.read_text(encoding="utf-8")


def _line(state: str, revoked: str, certificate: x509.Certificate) -> str:
    """A line of the index of openssl-ca(1)."""
    serial = f"{certificate.serial_number:X}"
    ends = f"{certificate.not_valid_after_utc:%y%m%d%H%M%SZ}"
    return f"{state}\t{ends}\t{revoked}\t{serial.zfill(len(serial) + len(serial) % 2)}\tunknown\t/CN=x\n"
