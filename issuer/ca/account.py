"""The account key and the account (RFC 8555 §7.3). `init` makes the key; `account rollover` replaces it."""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from acme import jws
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from josepy.jwa import HS256
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct

from common.errors import ConfigError, Finding, Retry
from common.files import create_new, read_secret
from issuer.ca import words
from issuer.ca.answers import AcmeAnswer
from issuer.ca.contact import HINT, UNUSABLE, Contact, addresses
from issuer.ca.memory import AccountMemory
from issuer.ca.transport import Transport
from issuer.model.config import CaSettings, Settings
from issuer.model.errors import AcmeProblem

log = structlog.get_logger()


def create_account_key(file: Path) -> None:
    """Write a new P-256 account key, mode 0600. Raises FileError if *file* exists."""
    key = ec.generate_private_key(ec.SECP256R1())
    create_new(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)


def next_key(file: Path) -> Path:
    """The file of the new key of a change, until it takes the place of *file* (issuer/commands/rollover.py)."""
    return file.with_name(file.name + ".new")


def refuse_half_done(file: Path) -> None:
    """Raise AcmeProblem while the change of the key in *file* is not finished: the CA may know the other one, and would
    register a second account for this one."""
    if os.path.lexists(next_key(file)):
        what = f"a change of the account key in {file} is not finished"
        hint = "once the CA answers, run `certfleet-issuer account rollover` again, or start or reload the daemon"
        raise AcmeProblem(what, hint=hint)


def load_account_key(file: Path) -> JWK:
    """The account key. Raises ConfigError if it is absent, readable by others or of a type that no CA accepts."""
    try:
        key = load_pem_private_key(read_secret(file), None)
    except ConfigError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        hint = "restore it from the backup; only for a new installation make one with `certfleet-issuer init`"
        raise ConfigError(str(file), [Finding("", "there is no account key")], hint=hint) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(
            str(file), [Finding("", "is not an unencrypted PEM private key")], hint="restore it"
        ) from error
    if isinstance(key, rsa.RSAPrivateKey):
        return JWKRSA(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return JWKEC(key=key)
    raise ConfigError(str(file), [Finding("", "is neither an RSA nor a P-256 or P-384 key")], hint="use such a key")


def load_binding_key(file: Path) -> JWKOct:
    """The HMAC key of an external account binding (RFC 8555 §7.3.4). Raises ConfigError.

    A CA prints the key in base64 or in base64url (RFC 4648 §4, §5).
    """
    try:
        text = "".join(read_secret(file).decode("ascii").split()).rstrip("=").replace("-", "+").replace("_", "/")
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise _no_binding_key(file) from error
    if not key:
        raise _no_binding_key(file)
    return JWKOct(key=key)


def _no_binding_key(file: Path) -> ConfigError:  # never repeat the value: it is a secret
    return ConfigError(str(file), [Finding("", "is not a base64url key")], hint="copy it again from the CA")


def account_id(directory: str, key: JWK) -> str:
    """SHA-256 in hex of directory URL and key thumbprint (RFC 7638): names an account before its URL is known."""
    return hashlib.sha256(directory.encode() + b"\0" + key.thumbprint()).hexdigest()


def existing_account(transport: Transport) -> AcmeAnswer | None:
    """The CA's answer about the account of *transport*'s key; None if it knows none (RFC 8555 §7.3.1), or wants a
    binding with each question for one (§7.3.4). Raises AcmeProblem."""
    try:
        return transport.post(transport.endpoint("newAccount"), {"onlyReturnExisting": True})
    except AcmeProblem as problem:
        if problem.kind not in ("accountDoesNotExist", "externalAccountRequired"):
            raise
        return None


def may_be_signature(problem: AcmeProblem) -> bool:
    """May *problem* mean that the CA does not take the signature of an account? RFC 8555 has no type for it: Boulder
    and Pebble say malformed, as of much else; acme2certifier answers 403 without a type."""
    denied = problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    return problem.kind in ("malformed", "unauthorized") or (denied and not problem.kind)


class Registrar:
    """Registers or finds the account of our key (RFC 8555 §7.3), and saves its URL in the state folder.

    A key that had an account is never registered anew while that account lives with another key.
    """

    def __init__(self, settings: Settings, ca: CaSettings):
        self._key_file = settings.account_key(ca)
        self.key = load_account_key(self._key_file)
        self._ca = ca
        account = account_id(ca.directory, self.key)
        self._memory = AccountMemory(settings.state_dir / "accounts.json", ca.directory, account)
        self._contact = Contact(ca.directory, ca.contact, settings.state_dir / "contacts.json")

    def register(self, transport: Transport) -> None:
        """Register or find the account; *transport* signs as it from then on. Raises AcmeProblem."""
        refuse_half_done(self._key_file)
        try:
            answer, refused = self._register(transport, self._ca.contact), False
        except AcmeProblem as problem:
            if problem.kind not in UNUSABLE or not self._ca.contact:
                raise
            log.warning("account.contact_refused", directory=self._ca.directory, error=str(problem), hint=HINT)
            answer, refused = self._register(transport, ()), True
        url = words.url(answer.location)
        if not url:
            raise AcmeProblem("the CA does not name our account", why="no Location header")
        self._memory.remember(url)
        transport.kid = url
        if answer.created and not refused:
            self._contact.told(url)
        elif not refused:
            self._contact.put_right(transport, answer)

    def existing(self, transport: Transport) -> str:
        """The URL of our key's account, "" if the CA knows none (RFC 8555 §7.3.1). Raises AcmeProblem."""
        answer = self._existing(transport)
        return words.url(answer.location) if answer else ""

    def _existing(self, transport: Transport) -> AcmeAnswer | None:
        """The CA's answer about our key's account, None if it knows none. Raises AcmeProblem, also where our key had an
        account that has another key now: a second one would have neither its orders nor its CAA records."""
        found, known = existing_account(transport), self._memory.url
        if found is None and known:
            self._refuse_void_key(known, transport)
        return found

    def _register(self, transport: Transport, contact: Sequence[str]) -> AcmeAnswer:
        endpoint = transport.endpoint("newAccount")
        payload: dict[str, Any] = {"termsOfServiceAgreed": True}
        if contact:
            payload["contact"] = addresses(contact)
        binds = self._ca.eab_hmac_file is not None  # some CAs accept a binding key only once
        if (binds or self._memory.url) and (existing := self._existing(transport)):
            return existing
        if binds:
            payload["externalAccountBinding"] = self._binding(endpoint)
        return transport.post(endpoint, payload)

    def _refuse_void_key(self, known: str, transport: Transport) -> None:
        """Raise AcmeProblem unless the CA has forgotten *known*, which was our key's account."""
        transport.kid = known
        try:
            transport.post(known, None)
        except AcmeProblem as problem:
            if problem.kind == "accountDoesNotExist" or problem.status == HTTPStatus.NOT_FOUND:
                return
            if not may_be_signature(problem):
                raise
            raise _void_key(self._key_file, known, problem) from problem
        finally:
            transport.kid = ""

    def _binding(self, endpoint: str) -> dict[str, Any]:
        """Our public key, signed with the CA's HMAC key (RFC 8555 §7.3.4)."""
        file = self._ca.eab_hmac_file
        assert file is not None  # noqa: S101 - register() checks it first
        secret = load_binding_key(file)
        public = self.key.public_key().json_dumps().encode()
        signed = jws.JWS.sign(public, key=secret, alg=HS256, nonce=None, url=endpoint, kid=self._ca.eab_kid)
        binding: dict[str, Any] = json.loads(signed.json_dumps())
        return binding


def _void_key(file: Path, account: str, problem: AcmeProblem) -> AcmeProblem:
    hint = (
        "copy the present key from the issuer that changed it, or from the newest backup; if it is lost or the account "
        "was ended, name a new file as account_key, then `certfleet-issuer init`"
    )
    about: Any = {"kind": "accountDoesNotExist", "status": problem.status, "resource": "newAccount"}
    what = f"the key in {file} is no longer that of our account {account}"
    return AcmeProblem(what, why=problem.why, hint=hint, retry=Retry.NEVER, **about)
