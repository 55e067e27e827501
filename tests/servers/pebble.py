"""Pebble, the small ACME server of Let's Encrypt's own tests, on loopback with TLS from a throw-away authority.

It forgets everything when it stops: accounts, orders, and its root, which is new at each start.
"""

import json
import os
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tests.servers.authority import Authority
from tests.servers.ports import LOOPBACK
from tests.servers.process import accepts_tcp, program
from tests.servers.server import Server

PACKAGE = "pebble"
READ_SECONDS = 10
DAYS_90 = 7_776_000


class Pebble(Server):
    """One pebble that resolves names at `dns` only ("address:port").

    None for `nosleep`, `nonce_reject` or `authz_reuse` means what Pebble does by itself: it sleeps up to 5 seconds
    before each validation, refuses 5 % of the nonces, and reuses valid authorizations for half of the new orders.
    Even `authz_reuse=0` reuses about one in a hundred, so that no test may rely on it: a test whose second order for a
    name has to answer a challenge calls `Box.forget_validations` before. CERTFLEET_TEST_AUTHZ_REUSE=100 in the
    environment reuses them all, which shows the tests that do not.

    `eab` maps key identifiers to base64url MAC keys and makes an external account binding compulsory. `http_port`
    is where http-01 validation connects to. `extra_env` is for the rest of Pebble's PEBBLE_... variables.
    """

    def __init__(
        self,
        folder: Path,
        dns: str,
        *,
        nosleep: bool | None = True,
        nonce_reject: int | None = 0,
        authz_reuse: int | None = 0,
        validity_seconds: int = DAYS_90,
        eab: Mapping[str, str] | None = None,
        chain_length: int | None = None,
        alternate_roots: int | None = None,
        http_port: int | None = None,
        extra_env: Mapping[str, str] | None = None,
    ) -> None:
        settings = {
            "PEBBLE_VA_NOSLEEP": None if nosleep is None else int(nosleep),
            "PEBBLE_WFE_NONCEREJECT": nonce_reject,
            "PEBBLE_AUTHZREUSE": os.environ.get("CERTFLEET_TEST_AUTHZ_REUSE", "0") if authz_reuse == 0 else authz_reuse,
            "PEBBLE_CHAIN_LENGTH": chain_length,
            "PEBBLE_ALTERNATE_ROOTS": alternate_roots,
        }
        super().__init__(folder, env=_environment(settings, extra_env or {}))
        self.dns = dns
        self.port = self._own_port()
        self.management_port = self._own_port()
        self.http_port = self._own_port(http_port)
        self._validity_seconds = validity_seconds
        self._eab = dict(eab or {})
        self._conf = folder / "pebble.json"
        self._log = folder / "pebble.log"
        self._log_begins = 0
        authority = Authority("Pebble API CA")
        self.ca_file = authority.write(folder)
        self._tls = authority.issue(["localhost", LOOPBACK]).write(folder)

    def refresh(self) -> None:
        """Run as usual for the next test, whatever the one before has done to it; `log_text` begins anew."""
        self.thaw()
        if not self.alive():
            self.stop()
            self.start()
        self._log_begins = self._log.stat().st_size

    def log_text(self) -> str:
        """Its log since the start or the last `refresh`."""
        return self._log.read_bytes()[self._log_begins :].decode("utf-8", errors="replace")

    @property
    def directory(self) -> str:
        """The ACME directory's URL."""
        return f"https://localhost:{self.port}/dir"

    def root(self, number: int = 0) -> bytes:
        """The root the issued certificates lead to, as PEM; others with `alternate_roots`."""
        return self._management(f"roots/{number}")

    def intermediate(self, number: int = 0) -> bytes:
        """The intermediate that signs, as PEM."""
        return self._management(f"intermediates/{number}")

    def _configure(self) -> None:
        self._conf.write_text(json.dumps({"pebble": self._settings()}, indent=2), encoding="utf-8")

    def _command(self) -> list[str]:
        return [program("pebble", PACKAGE), "-config", str(self._conf), "-dnsserver", self.dns]

    def _ready(self) -> bool:
        return all(accepts_tcp(LOOPBACK, port) for port in (self.management_port, self.port))

    def _settings(self) -> dict[str, object]:
        return {
            "listenAddress": f"{LOOPBACK}:{self.port}",
            "managementListenAddress": f"{LOOPBACK}:{self.management_port}",
            "certificate": str(self._tls.fullchain),
            "privateKey": str(self._tls.key),
            "httpPort": self.http_port,
            "tlsPort": self.http_port,
            "ocspResponderURL": "",
            "certificateValidityPeriod": self._validity_seconds,
            "externalAccountBindingRequired": bool(self._eab),
            "externalAccountMACKeys": self._eab,
        }

    def _management(self, path: str) -> bytes:
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=trust),
            urllib.request.ProxyHandler({}),  # loopback, whatever proxy the machine has
        )
        with opener.open(f"https://localhost:{self.management_port}/{path}", timeout=READ_SECONDS) as answer:
            content: bytes = answer.read()
        return content


def _environment(settings: Mapping[str, int | str | None], extra: Mapping[str, str]) -> dict[str, str]:
    """The environment without any PEBBLE_... of the machine's own, with those that were asked for."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PEBBLE_")}
    return inherited | {name: str(value) for name, value in settings.items() if value is not None} | dict(extra)
