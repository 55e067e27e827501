"""The account key and the account (RFC 8555 §7.3). `init` makes the key; `account rollover` replaces it."""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from acme import jws
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from josepy.jwa import HS256
from josepy.jwk import JWK, JWKEC, JWKRSA, JWKOct

from common.errors import ConfigError, FileError, Finding
from common.files import create_new, read_secret, write_atomic
from common.strict_json import parse_json
from issuer.ca import words
from issuer.ca.contact import HINT, UNUSABLE, Contact, addresses
from issuer.ca.transport import AcmeAnswer, Transport
from issuer.model.config import CaSettings, Settings
from issuer.model.errors import AcmeProblem

log = structlog.get_logger()


def create_account_key(file: Path) -> None:
    """Write a new P-256 account key, mode 0600. Raises FileError if *file* exists."""
    key = ec.generate_private_key(ec.SECP256R1())
    create_new(file, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)


def next_key(file: Path) -> Path:
    """Where the new key of a change lies until it takes the place of *file* (issuer/commands/rollover.py)."""
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
    """The CA's answer about the account of *transport*'s key; None if it knows none (RFC 8555 §7.3.1). Raises
    AcmeProblem."""
    try:
        return transport.post(transport.endpoint("newAccount"), {"onlyReturnExisting": True})
    except AcmeProblem as problem:
        if problem.kind != "accountDoesNotExist":
            raise
        return None


class Registrar:
    """Registers or finds the account of our key (RFC 8555 §7.3), and saves its URL in the state folder.

    It logs an error if the CA gives our key another account than before: CAA records may name the old account, and
    the new one has rate limits of its own.
    """

    def __init__(self, settings: Settings, ca: CaSettings):
        self._key_file = settings.account_key(ca)
        self.key = load_account_key(self._key_file)
        self._ca = ca
        self._memory = settings.state_dir / "accounts.json"
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
        self._remember(url)
        transport.kid = url
        if answer.created and not refused:
            self._contact.told(url)
        elif not refused:
            self._contact.put_right(transport, answer)

    def existing(self, transport: Transport) -> str:
        """The URL of our key's account, "" if the CA knows none (RFC 8555 §7.3.1). Raises AcmeProblem."""
        answer = existing_account(transport)
        return words.url(answer.location) if answer else ""

    def _register(self, transport: Transport, contact: Sequence[str]) -> AcmeAnswer:
        endpoint = transport.endpoint("newAccount")
        payload: dict[str, Any] = {"termsOfServiceAgreed": True}
        if contact:
            payload["contact"] = addresses(contact)
        if self._ca.eab_hmac_file is not None:  # some CAs accept a binding key only once
            existing = existing_account(transport)
            if existing:
                return existing
            payload["externalAccountBinding"] = self._binding(endpoint)
        return transport.post(endpoint, payload)

    def _binding(self, endpoint: str) -> dict[str, Any]:
        """Our public key, signed with the CA's HMAC key (RFC 8555 §7.3.4)."""
        file = self._ca.eab_hmac_file
        assert file is not None  # noqa: S101 - register() checks it first
        secret = load_binding_key(file)
        public = self.key.public_key().json_dumps().encode()
        signed = jws.JWS.sign(public, key=secret, alg=HS256, nonce=None, url=endpoint, kid=self._ca.eab_kid)
        binding: dict[str, Any] = json.loads(signed.json_dumps())
        return binding

    def _remember(self, url: str) -> None:
        try:
            known = parse_json(self._memory.read_bytes())
        except (OSError, ValueError):
            known = {}
        if not isinstance(known, dict):
            known = {}
        before = known.get(self._ca.directory)
        if before == url:
            return
        if before:
            hint = (
                "if you did not change account_key, find out who did; CAA records with accounturi must name the new "
                "account"
            )
            log.error("account.changed", directory=self._ca.directory, before=before, now=url, hint=hint)
        try:
            write_atomic(self._memory, json.dumps({**known, self._ca.directory: url}, indent=2).encode(), mode=0o600)
        except FileError as error:  # no harm: the CA gives the URL again
            log.warning("account.not_remembered", error=str(error))
