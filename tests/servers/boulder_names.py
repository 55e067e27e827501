"""Let's Encrypt's rule for the names of a CSR, before a real Pebble: the alternative names and the common name.

Pebble compares the alternative names alone (its `wfe.FinalizeOrder`), Boulder counts the common name among them (its
`csr` package). Debian has no Boulder. So the proxy takes over where the two differ: it compares, signs with a key of
its own, and serves that certificate. Orders, authorizations and validation remain Pebble's.
"""

import base64
import json
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.servers.authority import Authority, names_in
from tests.servers.ca_proxy import CaProxy, Reply, Request, json_reply, problem


class BoulderNames:
    """Works as long as *proxy* runs. *authority* signs."""

    def __init__(self, proxy: CaProxy, authority: Authority | None = None) -> None:
        self.authority = authority or Authority("Boulder Root").intermediate("Boulder CA")
        self.adds: list[str] = []  # names that the CA puts into each certificate besides those of the order
        self._proxy = proxy
        self._orders: dict[str, dict[str, Any]] = {}  # as Pebble told them last, by the path of their finalize URL
        self._signed: dict[str, bytes] = {}  # leaf and chain, by the same path
        proxy.before += [self._finalize, self._certificate]
        proxy.after.append(self._order)

    def _order(self, request: Request, reply: Reply) -> Reply:
        """Learn of an order, and tell that it is valid once it was finalized here."""
        try:
            document = json.loads(reply.body)
            path = urlsplit(document["finalize"]).path
        except (ValueError, TypeError, KeyError):
            return reply
        self._orders[path] = document
        if path not in self._signed:
            return reply
        return Reply(reply.status, json.dumps(self._shown(path)).encode(), reply.headers)

    def _shown(self, path: str) -> dict[str, Any]:
        return {**self._orders[path], "status": "valid", "certificate": self._proxy.directory + path}

    def _finalize(self, request: Request) -> Reply | None:
        order = self._orders.get(request.path)
        if order is None or order["status"] != "ready" or request.payload is None:
            return None  # Pebble refuses it
        text = request.payload["csr"]
        csr = x509.load_der_x509_csr(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        names = [identifier["value"] for identifier in order["identifiers"]]
        if names_in(csr, with_common_name=True) != set(names):
            return problem("badCSR", "CSR does not specify same identifiers as Order", 400)
        issued = self.authority.sign(csr.public_bytes(Encoding.PEM), names=[*names, *self.adds])
        self._signed[request.path] = issued.fullchain_pem
        return json_reply(self._shown(request.path))

    def _certificate(self, request: Request) -> Reply | None:
        pem = self._signed.get(request.path.removeprefix("/dir"))
        if pem is None or not request.path.startswith("/dir"):
            return None
        return Reply(200, pem, {"Content-Type": "application/pem-certificate-chain"})
