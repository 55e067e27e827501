"""A CA that validates by dns-persist-01: CaProxy rules before a Pebble that takes every validation for good.

Debian's Pebble does not know the type. So its http-01, and for wildcards its dns-01, passes here as one of that type.
When it is answered, the real name server is asked and its records are judged by the text of
draft-ietf-acme-dns-persist, by code of this file alone. Pebble hears only of what that allows; the order of anything
else is invalid.
"""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, Reply, Request, json_reply

ISSUER = "authority.example"
_KINDS = {"00": "issuer-domain-names", "01": "issuer-domain-names", "02": "issuerDomainNames"}


@dataclass
class PersistCa:
    """*draft*: 00 has no accounturi in the challenge, 01 has it, 02 spells the list in another way and wants a hash of
    the account. *directory_names*: does the directory tell its names (draft 02)? Else it has caaIdentities, as Let's
    Encrypt has. *issuers*: what the challenge names."""

    proxy: CaProxy
    bind: Bind
    draft: str = "01"
    issuers: list[str] = field(default_factory=lambda: [ISSUER, "second.example"])
    looked: list[str] = field(default_factory=list)  # each name that it was told to validate
    _names: dict[str, str] = field(default_factory=dict)  # of the order, by path of the challenge
    _refused: dict[str, str] = field(default_factory=dict)  # why, by path of the challenge
    _of: dict[str, str] = field(default_factory=dict)  # challenge by path of its authorization
    _thumbprints: dict[str, str] = field(default_factory=dict)  # by URL of the account

    def __post_init__(self) -> None:
        self.proxy.before.append(self._judge)
        self.proxy.after.append(self._change)

    @property
    def prefix(self) -> str:
        return f"https://localhost:{self.proxy.port}/account-hash/"

    def _judge(self, request: Request) -> Reply | None:
        """Look into DNS when a challenge is answered, and leave the rest to Pebble if it is right."""
        name = self._names.get(request.path)
        if name is None or request.payload is None:
            return None
        self.looked.append(name)
        why = self._why_not(name, _protected(request)["kid"])
        if not why:
            return None
        self._refused[request.path] = why
        return json_reply(self._failed({"url": f"https://localhost:{self.proxy.port}{request.path}"}, why))

    def _why_not(self, name: str, account: str) -> str:
        shown = self.bind.txt(f"_validation-persist.{name.removeprefix('*.')}")
        reasons = [self._refusal(text, name, account) for text in sorted(shown)]
        return "" if "" in reasons else "; ".join(reasons) or "No TXT record found"

    def _refusal(self, text: str, name: str, account: str) -> str:
        """Why one record does not count, by draft 01, sections 4.1 and 4.2."""
        issuer, *parts = (part.strip(" \t") for part in text.split(";"))
        if issuer.lower().rstrip(".") not in self.issuers:
            return "another issuer"
        parameters: dict[str, str] = {}
        for part in parts:
            tag, equals, value = part.partition("=")
            tag, value = tag.strip(" \t").lower(), value.strip(" \t")
            if not equals or not tag or tag in parameters or any(one in value for one in " \t;"):
                return f"malformed parameter {part!r}"
            parameters[tag] = value
        until = parameters.get("persistuntil")
        if parameters.get("accounturi") not in self._accounts(name, account):
            return "accounturi mismatch"
        if name.startswith("*.") and parameters.get("policy", "").lower() != "wildcard":
            return "policy mismatch"
        if until is not None and not until.isdigit():
            return "malformed persistUntil"
        return "persistUntil has passed" if until is not None and time.time() > int(until) else ""

    def _accounts(self, name: str, account: str) -> list[str]:
        if self.draft != "02":
            return [account]
        thumbprint, found = self._thumbprints[account], []
        for domain in (name.removeprefix("*."), "*"):
            octets = bytes([len(domain)]) + domain.encode() + thumbprint.encode() + account.encode()
            found.append(f"{self.prefix}sha-256/{_base64url(hashlib.sha256(octets).digest())}")
        return found

    def _change(self, request: Request, reply: Reply) -> Reply:
        """Pebble's answers, as this CA would give them."""
        if request.path == "/dir":
            return self._directory(reply)
        if reply.headers.get("Location") and "jwk" in _protected(request):
            self._thumbprints[reply.headers["Location"]] = _thumbprint(_protected(request)["jwk"])
        if reply.status >= 400 or "json" not in reply.headers.get("Content-Type", ""):
            return reply
        document = json.loads(reply.body)
        if "challenges" in document:
            self._authorization(request, document)
        elif "authorizations" in document:
            self._order(document)
        else:
            return reply
        return Reply(reply.status, json.dumps(document).encode(), reply.headers)

    def _directory(self, reply: Reply) -> Reply:
        document = json.loads(reply.body)
        told = {"issuerDomainNames": self.issuers, "accountHashPrefix": self.prefix}
        document["meta"] |= {"caaIdentities": [ISSUER]} if self.draft != "02" else told
        return json_reply(document)

    def _authorization(self, request: Request, document: dict[str, Any]) -> None:
        by_type = {one["type"]: one for one in document["challenges"]}
        offered = by_type.get("http-01") or by_type["dns-01"]
        if document["status"] != "pending" and _path(offered["url"]) not in self._names:
            return  # Pebble shows only the one that it has validated, and this one it validated by itself
        base = document["identifier"]["value"].removeprefix("*.")
        path = _path(offered["url"])
        self._names[path] = f"*.{base}" if document.get("wildcard") else base
        self._of[request.path] = path
        challenge = {"type": "dns-persist-01", "url": offered["url"], "status": offered["status"]}
        challenge[_KINDS[self.draft]] = self.issuers
        if self.draft == "01":
            challenge["accounturi"] = _protected(request)["kid"]
        if path in self._refused:
            document["status"] = "invalid"
            challenge = self._failed(challenge, self._refused[path])
        document["challenges"] = [
            challenge,
            *(one for one in document["challenges"] if one["type"] == "dns-01" and one is not offered),
        ]

    def _order(self, document: dict[str, Any]) -> None:
        if any(self._of.get(_path(url)) in self._refused for url in document["authorizations"]):
            document["status"] = "invalid"

    def _failed(self, challenge: dict[str, Any], why: str) -> dict[str, Any]:
        error = {"type": "urn:ietf:params:acme:error:unauthorized", "detail": why, "status": 403}
        return challenge | {"type": "dns-persist-01", "status": "invalid", "error": error}


def _protected(request: Request) -> dict[str, Any]:
    """The protected header of a JWS; {} where it is none."""
    try:
        text: str = json.loads(request.body)["protected"]
    except (ValueError, KeyError):
        return {}
    header: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return header


def _thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638."""
    needed = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}[jwk["kty"]]
    text = json.dumps({key: jwk[key] for key in needed}, separators=(",", ":"))
    return _base64url(hashlib.sha256(text.encode()).digest())


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[3]
