"""Upkeep of an account by a person: look at it, change its key, end it (RFC 8555 §7.3.5, §7.3.6)."""

import json
import time

from acme import jws
from josepy.json_util import encode_b64jose
from josepy.jwk import JWK

from common.dataclasses import dataclass
from issuer.ca import words
from issuer.ca.account import existing_account
from issuer.ca.transport import Transport, algorithm
from issuer.model.config import CaSettings


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account as its CA shows it. *url* "": the CA knows none of this key. *thumbprint*: RFC 7638, base64url."""

    directory: str
    url: str
    status: str
    contact: tuple[str, ...]
    terms: str
    thumbprint: str


class KeyAccount:
    """The account of *key* at *ca*. Registers nothing. Every method raises AcmeProblem."""

    def __init__(self, ca: CaSettings, key: JWK):
        self._directory = ca.directory
        self._key = key
        self._transport = Transport(ca.directory, key, ca_bundle=ca.ca_bundle, connections=1, clock=time.time)

    def find(self) -> str:
        """The account's URL, "" if the CA knows none of this key."""
        self._transport.kid = ""  # the question carries the public key
        found = existing_account(self._transport)
        self._transport.kid = words.url(found.location) if found else ""
        return self._transport.kid

    def facts(self) -> AccountFacts:
        """The account as the CA shows it."""
        account = self._transport.post(self._transport.kid, None).json() if self.find() else {}
        contact = account.get("contact")
        meta = self._transport.directory().get("meta")
        return AccountFacts(
            self._directory,
            self._transport.kid,
            words.text(account.get("status")),
            tuple(map(words.text, contact)) if isinstance(contact, list) else (),
            words.text(meta.get("termsOfService")) if isinstance(meta, dict) else "",
            encode_b64jose(self._key.thumbprint()),
        )

    def change_key(self, new: JWK) -> None:
        """Let the account that :meth:`find` has found belong to *new* (RFC 8555 §7.3.5)."""
        endpoint = self._transport.endpoint("keyChange")
        payload = {"account": self._transport.kid, "oldKey": self._key.public_key().to_partial_json()}
        inner = jws.JWS.sign(json.dumps(payload).encode(), key=new, alg=algorithm(new), nonce=None, url=endpoint)
        self._transport.post(endpoint, json.loads(inner.json_dumps()))

    def deactivate(self) -> None:
        """End the account that :meth:`find` has found (RFC 8555 §7.3.6)."""
        self._transport.post(self._transport.kid, {"status": "deactivated"})
