"""One ACME server as the journeys see it: orders, authorizations, challenges, certificates (RFC 8555 §7.4, §7.5)."""

import threading
from collections.abc import Sequence
from typing import Any

from josepy.json_util import encode_b64jose

from common.clock import Clock
from issuer.ca.account import load_account_key
from issuer.ca.transport import Answer, Transport, problem_words
from issuer.config import AcmeSettings, Settings
from issuer.errors import AcmeProblem
from issuer.model import CaAuthorization, CaChallenge, CaOrder


class AcmeCa:
    """Thread-safe; nothing is asked of the CA before the first order needs it."""

    def __init__(self, settings: Settings, clock: Clock):
        acme: AcmeSettings = settings.acme
        self.directory = acme.directory
        self._contact = [address if ":" in address else f"mailto:{address}" for address in acme.contact]
        self._key = load_account_key(settings.account_key)
        self._thumbprint = encode_b64jose(self._key.thumbprint())
        self._transport = Transport(
            acme.directory, self._key, ca_bundle=acme.ca_bundle, connections=acme.workers, clock=clock
        )
        self._account_lock = threading.Lock()

    def open_order(self, names: Sequence[str]) -> CaOrder:
        """A new order for exactly *names*. Raises AcmeProblem."""
        self._ensure_account()
        payload = {"identifiers": [{"type": "dns", "value": name} for name in names]}
        answer = self._transport.post(self._transport.endpoint("newOrder"), payload)
        if not answer.location:
            raise AcmeProblem("the CA opened an order but does not say where", why="no Location header")
        return _order(answer.location, answer)

    def order(self, url: str) -> CaOrder:
        return _order(url, self._post(url, None))

    def authorization(self, url: str) -> CaAuthorization:
        return _authorization(url, self._post(url, None).json())

    def answer(self, challenge_url: str) -> None:
        """Tell the CA that it may look now (RFC 8555 §7.5.1)."""
        self._post(challenge_url, {})

    def finalize(self, order: CaOrder, csr_der: bytes) -> CaOrder:
        """Hand in the CSR (RFC 8555 §7.4)."""
        return _order(order.url, self._post(order.finalize_url, {"csr": encode_b64jose(csr_der)}))

    def certificate(self, url: str) -> bytes:
        """The issued certificate with its chain, PEM (RFC 8555 §7.4.2)."""
        return self._post(url, None).body

    def key_authorization(self, token: str) -> str:
        """RFC 8555 §8.1."""
        return f"{token}.{self._thumbprint}"

    def close(self) -> None:
        self._transport.close()

    def _post(self, url: str, payload: dict[str, Any] | None) -> Answer:
        self._ensure_account()
        return self._transport.post(url, payload)

    def _ensure_account(self) -> None:
        """Register, or find, the account of our key (RFC 8555 §7.3.1: newAccount answers with the existing one)."""
        with self._account_lock:
            if self._transport.kid:
                return
            payload: dict[str, Any] = {"termsOfServiceAgreed": True}
            if self._contact:
                payload["contact"] = self._contact
            answer = self._transport.post(self._transport.endpoint("newAccount"), payload)
            if not answer.location:
                raise AcmeProblem("the CA does not name our account", why="no Location header")
            self._transport.kid = answer.location


def _order(url: str, answer: Answer) -> CaOrder:
    document = answer.json()
    problem = document.get("error")
    authorizations = document.get("authorizations")
    return CaOrder(
        url=url,
        status=_text(document, "status"),
        authorizations=tuple(map(str, authorizations)) if isinstance(authorizations, list) else (),
        finalize_url=_text(document, "finalize"),
        certificate_url=_text(document, "certificate"),
        error=problem_words(problem)[1] if isinstance(problem, dict) else "",
        ask_again_at=answer.ask_again_at,
    )


def _authorization(url: str, document: dict[str, Any]) -> CaAuthorization:
    identifier = document.get("identifier")
    challenges = document.get("challenges")
    return CaAuthorization(
        url=url,
        identifier=_text(identifier, "value").lower() if isinstance(identifier, dict) else "",
        status=_text(document, "status"),
        challenges=tuple(_challenge(item) for item in challenges if isinstance(item, dict))
        if isinstance(challenges, list)
        else (),
    )


def _challenge(document: dict[str, Any]) -> CaChallenge:
    problem = document.get("error")
    return CaChallenge(
        type=_text(document, "type"),
        url=_text(document, "url"),
        token=_text(document, "token"),
        status=_text(document, "status"),
        error=problem_words(problem)[1] if isinstance(problem, dict) else "",
    )


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""
