"""The ACME client that the journeys use: orders, authorizations, certificates (RFC 8555 §7), ARI (RFC 9773)."""

import threading
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.json_util import encode_b64jose

from common.certificate import Bundle, common_names, is_signed_by, load_certificates
from common.clock import Clock
from common.errors import Retry
from common.files import read_regular
from common.names import is_address
from issuer.ca import words
from issuer.ca.account import Registrar, account_id, may_be_signature
from issuer.ca.answers import AcmeAnswer, authorization_of, order_of, renewal_info_of
from issuer.ca.order_list import OrderList
from issuer.ca.transport import Transport, http_date
from issuer.model.acme import CaAuthorization, CaIdentity, CaOrder, RenewalInfo
from issuer.model.config import CaSettings, Settings
from issuer.model.errors import AcmeProblem, OtherAccount

log = structlog.get_logger()
_NOT_ABOUT_REPLACES = (0, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # 0: no answer
_RESOURCES = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo")  # CAs add random ones
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_ORDERS_LOOKED_AT = 20  # plus one for each worker: each may have lost the answer to one newOrder


class AcmeCa:
    """One account at one ACME server: a :class:`issuer.journey.ports.CertificateAuthority`, whose methods are described
    there, with more for `check` and people. Thread-safe. Sends nothing before the first call that needs an answer.

    Every method that asks the CA raises AcmeProblem.
    """

    def __init__(self, settings: Settings, ca: CaSettings, clock: Clock):
        self.directory = ca.directory
        self._ca = ca
        self._registrar = Registrar(settings, ca)
        self.account_id = account_id(ca.directory, self._registrar.key)
        self._thumbprint = encode_b64jose(self._registrar.key.thumbprint())
        self._transport = Transport(
            ca.directory, self._registrar.key, ca_bundle=ca.ca_bundle, connections=ca.workers, clock=clock
        )
        self._order_list = OrderList(self._transport, _ORDERS_LOOKED_AT + ca.workers)
        self._account_lock = threading.Lock()

    def open_order(self, names: Sequence[str], replaces: str = "") -> CaOrder:
        """If the CA refuses an order with *replaces*, it is sent again without, except after a limit, a 503 or no
        answer. The renewal matters more than its place in the window, and CAs refuse the identifier with many types of
        problem."""
        self.account_url()  # first: without one nothing else is worth asking
        payload: dict[str, Any] = {"identifiers": list(map(_identifier, names))}
        profile = self._profile(names)
        if profile:
            payload["profile"] = profile
        if replaces and self.offers_renewal_info:
            try:
                return self._new_order({**payload, "replaces": replaces})
            except AcmeProblem as problem:
                if problem.kind == "rateLimited" or problem.status in _NOT_ABOUT_REPLACES:
                    raise
                log.info("order.replaces_refused", why=str(problem))
        return self._new_order(payload)

    def find_order(self, names: Sequence[str]) -> CaOrder | None:
        """This avoids a second order when the answer to newOrder was lost."""
        return self._order_list.find(names, self.account_url())

    def order(self, url: str) -> CaOrder:
        return order_of(url, self._fetch(url))

    def authorization(self, url: str) -> CaAuthorization:
        document = self._fetch(url).json()
        return authorization_of(url, document, self.identity(self.account_url()))

    def deactivate(self, authorization_url: str) -> None:
        self._post(authorization_url, {"status": "deactivated"})

    def answer(self, challenge_url: str) -> None:
        self._post(challenge_url, {})

    def finalize(self, order: CaOrder, csr_der: bytes) -> CaOrder:
        return order_of(order.url, self._post(order.finalize_url, {"csr": encode_b64jose(csr_der)}))

    def certificate(self, url: str) -> bytes:
        """The certificate with the preferred chain if the CA offers it (RFC 8555 §7.4.2). Every
        AcmeProblem of it is Retry.SOON: the certificate exists, and a new order would cost another one."""
        try:
            return self._with_root(self._certificate(url))
        except AcmeProblem as problem:
            problem.retry = Retry.SOON
            raise

    def _certificate(self, url: str) -> bytes:
        answer = self._post(url, None)
        if not self._ca.preferred_chain or _has_top(answer.body, self._ca.preferred_chain):
            return answer.body
        for relation, alternate in answer.links:
            if relation == "alternate":
                body = self._post(alternate, None).body
                if _has_top(body, self._ca.preferred_chain):
                    return body
        log.warning("chain.not_offered", preferred=self._ca.preferred_chain)
        return answer.body

    def _with_root(self, pem: bytes) -> bytes:
        """*pem*; a leaf alone with the root that signed it, where that stands in ca_bundle. A private CA without
        intermediates sends no chain, and an agent wants to see the issuer."""
        if self._ca.ca_bundle is None or pem.count(_BEGIN) > 1:
            return pem
        try:
            [leaf] = load_certificates(pem)
            trusted = read_regular(self._ca.ca_bundle)
            root = next((each for each in load_certificates(trusted) if is_signed_by(leaf, each)), None)
        except (OSError, ValueError):  # the caller judges the answer
            return pem
        return pem if root is None else pem.rstrip() + b"\n" + root.public_bytes(Encoding.PEM)

    def revoke(self, bundle: Bundle, reason: int) -> None:
        """Revoke with the account key (RFC 8555 §7.6). *reason*: a code of RFC 5280 §5.3.1. Safe to repeat."""
        payload = {"certificate": encode_b64jose(bundle.leaf.public_bytes(Encoding.DER)), "reason": reason}
        try:
            self._post(self._transport.endpoint("revokeCert"), payload)
        except AcmeProblem as problem:
            if problem.kind != "alreadyRevoked":
                raise

    @property
    def offers_renewal_info(self) -> bool:
        return isinstance(self._transport.directory().get("renewalInfo"), str)

    def renewal_info(self, certificate_id: str) -> RenewalInfo | None:
        if not self.offers_renewal_info:
            return None
        answer = self._transport.get(f"{self._transport.endpoint('renewalInfo').rstrip('/')}/{certificate_id}")
        return renewal_info_of(answer)

    def meta(self) -> dict[str, Any]:
        """The directory's "meta" object (RFC 8555 §7.1.1): profiles, caaIdentities, terms."""
        meta = self._transport.directory().get("meta")
        return meta if isinstance(meta, dict) else {}

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The URL of each resource in the directory: it may have a host of its own (RFC 8555 §7.1.1, RFC 9773 §4)."""
        directory = self._transport.directory()
        return tuple(url for resource in _RESOURCES if (url := words.url(directory.get(resource))))

    @property
    def caa_identities(self) -> tuple[str, ...]:
        names = self.meta().get("caaIdentities")
        return tuple(map(words.text, names)) if isinstance(names, list) else ()

    def identity(self, account: str) -> CaIdentity:
        """The values that stand in DNS records for the CA and for *account*, the URL of ours."""
        meta, identities = self.meta(), self.caa_identities
        prefix = words.text(meta.get("accountHashPrefix"))
        issuers = words.domains(meta.get("issuerDomainNames")) or words.domains(list(identities))
        return CaIdentity(self.directory, identities, account, issuers, prefix, self._thumbprint)

    def account_url(self) -> str:
        with self._account_lock:
            if not self._transport.kid:
                self._registrar.register(self._transport)
            return self._transport.kid

    @property
    def registered(self) -> bool:
        return bool(self._transport.kid)

    def find_account(self) -> str:
        """The URL of our key's account, "" when the CA knows none (RFC 8555 §7.3.1). Registers nothing."""
        with self._account_lock:
            if not self._transport.kid:
                self._transport.kid = self._registrar.existing(self._transport)
            return self._transport.kid

    def disowns(self, order_url: str) -> bool:
        """Does the order belong to another account? Call it only when :meth:`find_account` has found ours. A URL at a
        host that the CA does not name is not asked: somebody who can write to the database may have put it there."""
        if words.host(order_url) not in map(words.host, self.endpoints):
            return False
        try:
            self.order(order_url)
        except OtherAccount:
            return True
        except AcmeProblem as problem:
            if problem.retry is Retry.SOON:
                raise
        return False  # the CA may have forgotten the order, which proves nothing about the account

    def clock(self) -> float | None:
        """The CA's clock in epoch seconds, from a Date header; None without one."""
        return http_date(self._transport.get(self.directory).date)

    def key_authorization(self, token: str) -> str:
        return f"{token}.{self._thumbprint}"

    def close(self) -> None:
        self._transport.close()

    def _new_order(self, payload: dict[str, Any]) -> CaOrder:
        try:
            answer = self._post(self._transport.endpoint("newOrder"), payload)
        except AcmeProblem as problem:
            if problem.kind == "invalidProfile":
                self._transport.look_again()
            raise
        if not answer.location:
            what, why = "the CA opened an order but does not say where", "no Location header"
            raise AcmeProblem(what, why=why, in_doubt=True)
        return order_of(words.url(answer.location), answer)

    def _profile(self, names: Sequence[str]) -> str:
        """The configured profile if the CA advertises it (draft-ietf-acme-profiles), else ""."""
        wanted = self._ca.profile
        offered = self.meta().get("profiles")
        if not wanted or (isinstance(offered, dict) and wanted in offered):
            return wanted
        known = words.text(", ".join(sorted(offered))) if isinstance(offered, dict) else "none"
        if self._ca.profile_required:
            what = f"the CA does not offer the profile {wanted!r}"
            hint = f"change profile of {self.directory}, or set profile_required = false"
            raise AcmeProblem(what, why=f"it offers {known}", hint=hint, kind="invalidProfile", retry=Retry.NEVER)
        hint = "the certificate gets the CA's default profile; change profile"
        of_order = {"certificate": names[0], "directory": self.directory}
        log.warning("profile.not_offered", **of_order, wanted=wanted, offered=known, hint=hint)
        return ""

    def _fetch(self, url: str) -> AcmeAnswer:
        """An order or authorization. Raises OtherAccount: Let's Encrypt then answers 404 and names the account."""
        try:
            return self._post(url, None)
        except AcmeProblem as problem:
            if problem.kind == "unauthorized" or (
                problem.status == HTTPStatus.NOT_FOUND and "for account" in problem.why
            ):
                raise OtherAccount(problem.why) from problem
            raise

    def _post(self, url: str, payload: dict[str, Any] | None) -> AcmeAnswer:
        """A POST signed by our account. If the CA has forgotten the account: register again, then post once more. After
        an error that may be about our signature, ask for the account again: the error of that tells where its key was
        changed."""
        account = self.account_url()
        try:
            return self._transport.post(url, payload, account)
        except AcmeProblem as problem:
            forgotten = problem.kind == "accountDoesNotExist"
            if not (forgotten or may_be_signature(problem)):
                raise
            with self._account_lock:
                if self._transport.kid == account:
                    self._transport.kid = ""
            account = self.account_url()
            if not forgotten:
                raise
        return self._transport.post(url, payload, account)


def _identifier(name: str) -> dict[str, str]:
    """The ACME identifier of a DNS name or an IP address (RFC 8555 §9.7.7, RFC 8738 §3)."""
    return {"type": "ip" if is_address(name) else "dns", "value": name}


def _has_top(pem: bytes, wanted: str) -> bool:
    """Is *wanted* the common name of subject or issuer of the last certificate in *pem*?"""
    try:
        certificates = load_certificates(pem)
    except ValueError:
        return False
    return bool(certificates) and wanted in common_names(certificates[-1])
