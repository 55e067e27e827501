"""A CA in memory: orders, authorizations, challenges and certificates as RFC 8555 §7 has them, and ARI (RFC 9773).

It validates by looking into the zones, and signs with a key of its own.
"""

import base64
import hashlib
import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.clock import Clock
from common.errors import Retry
from common.names import is_address
from issuer.ca.problems import meaning
from issuer.model.acme import CaAuthorization, CaChallenge, CaOrder, Problem, RenewalInfo
from issuer.model.errors import AcmeProblem
from issuer.model.leaf import Leaf, leaf_of
from tests.issuer.fakes.zone import MemoryZone
from tests.servers.authority import Authority, names_in

_PERSIST, _ISSUER = "dns-persist-01", "ca.example"
_THUMBPRINT = "thumbprint-of-the-account-key"


def refusal(
    kind: str,
    detail: str = "",
    status: int = 400,
    *,
    retry_after: float | None = None,
    in_doubt: bool = False,
    resource: str = "",
) -> AcmeProblem:
    """A problem document (RFC 8555 §6.7), as the real adapter reads it."""
    retry, hint = meaning(kind, resource)
    return AcmeProblem(
        "the CA said no",
        why=detail,
        hint=hint,
        kind=kind,
        status=status,
        retry_after=retry_after,
        retry=retry,
        in_doubt=in_doubt,
        resource=resource,
    )


@dataclass
class _Authorization:
    url: str
    identifier: str
    challenges: dict[str, str]  # URL by type
    token: str
    wildcard: bool
    account: str
    status: str = "pending"
    answered: str = ""  # the type of the challenge that the CA was told to look at
    answered_at: float = 0.0
    error: Problem | None = None

    def seen(self) -> CaAuthorization:
        """As the CA tells it."""
        challenges = [self._challenge(kind, url) for kind, url in self.challenges.items()]
        return CaAuthorization(self.url, self.identifier, self.status, tuple(challenges), self.wildcard)

    def _challenge(self, kind: str, url: str) -> CaChallenge:
        status, error = "pending", None
        if kind == self.answered:
            status, error = "processing" if self.status == "pending" else self.status, self.error
        if kind == _PERSIST:
            return CaChallenge(kind, url, "", status, error, (_ISSUER,), (self.account,))
        return CaChallenge(kind, url, self.token, status, error)


@dataclass
class _Order:
    url: str
    names: tuple[str, ...]
    replaces: str
    authorizations: list[_Authorization]
    status: str = "pending"
    error: Problem | None = None
    pem: bytes = b""
    finalized_at: float = 0.0


class MemoryCa:
    """A CertificateAuthority.

    *validation_seconds* and *signing_seconds*: how long it takes for what is its turn. *offers_ari*: does it tell when
    to renew? *windows*: by identifier of a certificate, where that is not its last third. *shares_orders*: is an order
    that waits given to whoever asks for the same names, as by Boulder? *takes_common_name*: are the names of a CSR its
    alternative names and its common name, as for Boulder, or the first alone, as for Pebble?
    """

    def __init__(self, directory: str, clock: Clock, zones: Mapping[str, MemoryZone], *, days: float = 90):
        self.directory = directory
        self.account_id = hashlib.sha256(directory.encode()).hexdigest()
        self.validation_seconds = 0.0
        self.signing_seconds = 0.0
        self.offers_ari = True
        self.shares_orders = False
        self.registered = False
        self.takes_common_name = True
        self.usage = ExtendedKeyUsageOID.SERVER_AUTH  # of what it signs
        self.windows: dict[str, RenewalInfo] = {}
        self.certificates: list[bytes] = []  # every one that was signed, leaf and chain, PEM
        self.opened: list[_Order] = []
        self.signer: Authority | None = None  # None: the intermediate of every CA here
        self._clock = clock
        self._zones = zones
        self._days = days
        self._numbers = itertools.count(1)

    def open_order(self, names: Sequence[str], replaces: str = "") -> CaOrder:
        waiting = self.find_order(names) if self.shares_orders else None
        if waiting is not None:
            return waiting
        authorizations = [self._authorization(name) for name in dict.fromkeys(names)]
        order = _Order(self._url("order"), tuple(names), replaces, authorizations)
        self.opened.append(order)
        return self._seen(order)

    def find_order(self, names: Sequence[str]) -> CaOrder | None:
        waiting = (self._seen(order) for order in reversed(self.opened) if set(order.names) == set(names))
        return next((order for order in waiting if order.status in ("pending", "ready")), None)

    def order(self, url: str) -> CaOrder:
        return self._seen(self._order(url))

    def authorization(self, url: str) -> CaAuthorization:
        authorization = self._found(url)
        self._look(authorization)
        return authorization.seen()

    def deactivate(self, authorization_url: str) -> None:
        self._found(authorization_url).status = "deactivated"

    def answer(self, challenge_url: str) -> None:
        for authorization in self._authorizations():
            for kind, url in authorization.challenges.items():
                if url == challenge_url:
                    self._answer(authorization, kind)
                    return
        raise refusal("malformed", "no such challenge", 404)

    def finalize(self, order: CaOrder, csr_der: bytes) -> CaOrder:
        found = self._order(order.url)
        if self._seen(found).status != "ready":
            raise refusal("orderNotReady", f"it is {found.status}", 403)
        csr = x509.load_der_x509_csr(csr_der)
        if names_in(csr, with_common_name=self.takes_common_name) != set(found.names):
            raise refusal("unauthorized", "its names are not those of the order", 403)
        start = datetime.fromtimestamp(self._clock(), UTC)
        pem = csr.public_bytes(Encoding.PEM)
        signed = (self.signer or _signer()).sign(pem, self._days, start, names=list(found.names), usage=self.usage)
        found.pem = signed.fullchain_pem
        found.status, found.finalized_at = "processing", self._clock()
        self.certificates.append(found.pem)
        return self._seen(found)

    def certificate(self, url: str) -> bytes:
        for order in self.opened:
            if f"{order.url}/certificate" == url and self._seen(order).status == "valid":
                return order.pem
        problem = refusal("malformed", "no such certificate", 404)
        problem.retry = Retry.SOON
        raise problem

    def key_authorization(self, token: str) -> str:
        return f"{token}.{_THUMBPRINT}"

    def account_url(self) -> str:
        self.registered = True
        return f"{self.directory}/account/1"

    @property
    def caa_identities(self) -> tuple[str, ...]:
        return (_ISSUER,)

    @property
    def offers_renewal_info(self) -> bool:
        return self.offers_ari

    def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        if not self.offers_ari:
            return None
        return self.windows.get(certificate_id) or self._window(certificate_id)

    @property
    def waiting(self) -> list[str]:
        """The identifiers whose authorizations wait for an answer: CAs limit how many may."""
        return [each.identifier for each in self._authorizations() if each.status == "pending"]

    def _window(self, identifier: str) -> RenewalInfo:
        """The last third of a certificate of ours."""
        for pem in self.certificates:
            leaf = leaf_of(pem)
            if isinstance(leaf, Leaf) and leaf.ari_id == identifier:
                return RenewalInfo(leaf.ends - (leaf.ends - leaf.starts) // 3, leaf.ends, "", None)
        raise refusal("malformed", "no certificate of ours", 404)

    def _authorization(self, name: str) -> _Authorization:
        url = self._url("authorization")
        kinds = list(self._zones)
        if name.startswith("*.") or is_address(name):
            kinds = ["http-01"] if is_address(name) else ["dns-01", _PERSIST]
        challenges = {kind: f"{url}/{kind}" for kind in kinds}
        return _Authorization(
            url,
            name.removeprefix("*."),
            challenges,
            secrets.token_urlsafe(32),
            name.startswith("*."),
            self.account_url(),
        )

    def _url(self, kind: str) -> str:
        return f"{self.directory}/{kind}/{next(self._numbers)}"

    def _order(self, url: str) -> _Order:
        for order in self.opened:
            if order.url == url:
                return order
        raise refusal("malformed", "no such order", 404)

    def _authorizations(self) -> list[_Authorization]:
        return [each for order in self.opened for each in order.authorizations]

    def _found(self, url: str) -> _Authorization:
        for authorization in self._authorizations():
            if authorization.url == url:
                return authorization
        raise refusal("malformed", "no such authorization", 404)

    def _answer(self, authorization: _Authorization, kind: str) -> None:
        if authorization.status != "pending" or authorization.answered:
            raise refusal("malformed", "the challenge does not wait for an answer")
        authorization.answered, authorization.answered_at = kind, self._clock()

    def _look(self, authorization: _Authorization) -> None:
        """Validate it, if the CA was told to and has taken its time."""
        due = authorization.answered_at + self.validation_seconds
        if authorization.status != "pending" or not authorization.answered or self._clock() < due:
            return
        if self._proven(authorization):
            authorization.status = "valid"
        else:
            authorization.status = "invalid"
            authorization.error = Problem("unauthorized", f"no right answer for {authorization.identifier}")

    def _proven(self, authorization: _Authorization) -> bool:
        """RFC 8555 §8.3 and §8.4; draft-ietf-acme-dns-persist, section 4."""
        if authorization.answered == _PERSIST:
            return self._allowed(authorization) in self._zones[_PERSIST].shown(
                f"_validation-persist.{authorization.identifier}"
            )
        text = self.key_authorization(authorization.token)
        if authorization.answered == "http-01":
            return text in self._zones["http-01"].shown(authorization.identifier)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        return digest in self._zones["dns-01"].shown(f"_acme-challenge.{authorization.identifier}")

    def _allowed(self, authorization: _Authorization) -> str:
        policy = "; policy=wildcard" if authorization.wildcard else ""
        return f"{_ISSUER}; accounturi={self.account_url()}{policy}"

    def _seen(self, order: _Order) -> CaOrder:
        """As the CA tells it now (RFC 8555 §7.1.6)."""
        for authorization in order.authorizations:
            self._look(authorization)
        states = {each.status for each in order.authorizations}
        if order.status == "pending" and states == {"valid"}:
            order.status = "ready"
        elif order.status in ("pending", "ready") and states & {"invalid", "deactivated"}:
            order.status, order.error = "invalid", Problem("unauthorized", "an authorization failed")
        signed_at = order.finalized_at + self.signing_seconds
        if order.status == "processing" and self._clock() >= signed_at:
            order.status = "valid"
        return CaOrder(
            url=order.url,
            status=order.status,
            authorizations=tuple(each.url for each in order.authorizations),
            finalize_url=f"{order.url}/finalize",
            certificate_url=f"{order.url}/certificate" if order.status == "valid" else "",
            error=order.error,
            ask_again_at=signed_at if order.status == "processing" else None,
        )


@cache
def _signer() -> Authority:
    """An intermediate below a root, so that there is a chain; made once, for keys are what costs."""
    return Authority("Memory Root").intermediate("Memory CA")
