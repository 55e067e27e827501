"""Signed requests to one ACME server: JWS, nonces, Retry-After, problem documents (RFC 8555 §6).

All worker threads share one pool of kept-alive connections and one store of nonces. The CA's answers are hostile input:
their size is limited, and no redirect is followed. This module knows nothing of orders and certificates.
"""

import contextlib
import email.utils
import functools
import json
import os
import re
import threading
import time
import urllib.request
from collections import deque
from http import HTTPStatus
from http.client import INTERNAL_SERVER_ERROR, MULTIPLE_CHOICES
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3
from acme import jws
from josepy.json_util import decode_b64jose
from josepy.jwa import ES256, ES384, RS256, JWASignature
from josepy.jwk import JWK, JWKRSA

from common.clock import Clock
from common.errors import CertfleetError, ConfigError, Finding
from common.strict_json import parse_json
from common.tls import verified_tls
from issuer.ca import words
from issuer.ca.answers import AcmeAnswer
from issuer.ca.connection import pool_manager
from issuer.ca.problems import meaning
from issuer.model.errors import AcmeProblem

_NONCE_TRIES = 11  # the first and ten more: a server may refuse any nonce at any time (RFC 8555 §6.5)
_MOST_BYTES = 1_000_000
_FRESH_SECONDS, _AGAIN_SECONDS = 86400, 3600  # until a directory is fetched again, and where that failed
_TIMEOUT = urllib3.Timeout(connect=10, read=30)
_NEVER_SENT = (  # raised before a request is written
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ProxyError,
)
_ACME_ERROR = "urn:ietf:params:acme:error:"
_AGENT = "certfleet (+https://pypi.org/project/certfleet)"


class Transport:
    """Thread-safe. *kid*: the account URL that requests are signed with; while it is "", they carry the public key.

    *answer_seconds*: the time limit of one answer.
    """

    def __init__(
        self,
        directory_url: str,
        key: JWK,
        *,
        ca_bundle: Path | None,
        connections: int,
        clock: Clock,
        answer_seconds: float = 60.0,
    ):
        self.directory_url = directory_url
        self.key = key
        self.kid = ""
        self._algorithm = algorithm(key)
        self._ca_bundle = _existing(ca_bundle)
        self._connections = connections
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._nonces: deque[str] = deque(maxlen=256)
        self._directory: dict[str, Any] | None = None
        self._fresh_until = 0.0  # monotonic seconds
        self._lock = threading.Lock()

    @functools.cached_property
    def _pool(self) -> urllib3.PoolManager:
        """Made by the first request: most runs find nothing due, and the bundle takes a while to read."""
        return self._made_pool()

    def _made_pool(self) -> urllib3.PoolManager:
        # shared, or each connection would read the bundle again
        trust = verified_tls(self._ca_bundle, "acme.ca_bundle")
        options: dict[str, Any] = {"maxsize": self._connections, "block": True, "ssl_context": trust}
        return pool_manager(proxy_for(self.directory_url), self._answer_seconds, **options)

    def directory(self) -> dict[str, Any]:
        """The CA's directory (RFC 8555 §7.1.1). After a day it is fetched again, and what we trust is read again with
        it; where that fails the one that is known serves on. Raises AcmeProblem."""
        with self._lock:
            if self._directory is None:
                self._directory = self._fetched()
            elif time.monotonic() >= self._fresh_until:
                self._fresh_until = time.monotonic() + _AGAIN_SECONDS
                with contextlib.suppress(CertfleetError):
                    self._pool = self._made_pool()
                    self._directory = self._fetched()
            return self._directory

    def look_again(self) -> None:
        """Fetch the directory again when it is needed next: the CA does not keep to it."""
        with self._lock:
            self._fresh_until = 0.0

    def _fetched(self) -> dict[str, Any]:
        """The directory as it is now. A page of something else is not kept. Raises AcmeProblem."""
        document = self._request("GET", self.directory_url).json()
        missing = [name for name in ("newNonce", "newOrder") if not words.url(document.get(name))]
        if missing:
            raise self._no_acme(missing[0])
        self._fresh_until = time.monotonic() + _FRESH_SECONDS
        return document

    def _no_acme(self, name: str) -> AcmeProblem:
        what, why = f"{self.directory_url} is not an ACME server", f"its directory has no {name!r}"
        return AcmeProblem(what, why=why, hint="check [acme] directory")

    def endpoint(self, name: str) -> str:
        """The URL of a resource in the directory. Raises AcmeProblem if it is missing."""
        url = words.url(self.directory().get(name))
        if not url:
            raise self._no_acme(name)
        return url

    def post(self, url: str, payload: dict[str, Any] | None, account: str | None = None) -> AcmeAnswer:
        """A signed POST; *payload* None is POST-as-GET (RFC 8555 §6.3). A refused nonce is replaced at once. *account*:
        the account URL in place of *kid*, which another thread may change meanwhile.

        Raises AcmeProblem; its *in_doubt* says that the CA may have obeyed all the same.
        """
        body = b"" if payload is None else json.dumps(payload).encode()
        kid = self.kid if account is None else account
        for attempt in range(_NONCE_TRIES):
            signed = self._sign(url, body, kid)
            try:
                return self._request("POST", url, signed)
            except AcmeProblem as problem:
                if problem.kind != "badNonce" or attempt == _NONCE_TRIES - 1:
                    problem.in_doubt = _in_doubt(problem)
                    raise
        raise RuntimeError("not reached")

    def get(self, url: str) -> AcmeAnswer:
        """An unsigned GET: for the directory and renewal information (RFC 9773 §4). Raises AcmeProblem."""
        return self._request("GET", url)

    def close(self) -> None:
        if "_pool" in vars(self):  # else no request has made it
            self._pool.clear()

    def _sign(self, url: str, body: bytes, kid: str) -> bytes:
        who: dict[str, Any] = {"kid": kid} if kid else {}
        nonce = decode_b64jose(self._nonce())
        signed = jws.JWS.sign(body, key=self.key, alg=self._algorithm, nonce=nonce, url=url, **who)
        return str(signed.json_dumps()).encode()

    def _nonce(self) -> str:
        while True:
            try:
                return self._nonces.pop()  # the latest: the server may have forgotten the others
            except IndexError:
                self._request("HEAD", self.endpoint("newNonce"))
                if not self._nonces:
                    raise AcmeProblem("the CA sends no Replay-Nonce", hint="check [acme] directory") from None

    def _request(self, method: str, url: str, body: bytes | None = None) -> AcmeAnswer:
        headers = {"User-Agent": _AGENT, "Accept-Language": "en"}
        if body is not None:
            headers["Content-Type"] = "application/jose+json"
        try:
            response = self._pool.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                timeout=_TIMEOUT,
                preload_content=False,
            )
            try:
                content = _read(response)
            finally:
                response.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise _unreachable(url, error) from error
        self._keep_nonce(response.headers.get("Replay-Nonce", ""))
        ask_again_at = retry_after(response.headers.get("Retry-After", ""), self._clock())
        if len(content) > _MOST_BYTES:
            what = f"the CA's answer from {url} is larger than {_MOST_BYTES} bytes"
            raise AcmeProblem(what, hint="check [acme] directory")
        if not 200 <= response.status < 300:
            raise _problem(url, self._resource(url), response, content, ask_again_at)
        location, date = response.headers.get("Location", ""), response.headers.get("Date", "")
        location = words.absolute(url, location) if location else ""
        links, created = tuple(response.headers.getlist("Link")), response.status == HTTPStatus.CREATED
        return AcmeAnswer(url, location, links, content, ask_again_at, date, created)

    def _resource(self, url: str) -> str:
        """The name of *url* in the directory; "" for an order, an authorization and the like."""
        return next((name for name, address in (self._directory or {}).items() if address == url), "")

    def _keep_nonce(self, nonce: str) -> None:
        # RFC 8555 §6.5.1: a nonce that is not base64url must be ignored
        if re.fullmatch(r"[A-Za-z0-9_-]{1,1000}", nonce) and len(nonce) % 4 != 1:
            self._nonces.append(nonce)


def proxy_for(url: str) -> str:
    """The URL of the environment's proxy that leads to *url* (https_proxy, no_proxy), "" for none. It may hold a
    login."""
    host = urlsplit(url).hostname or ""
    proxy = "" if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https", "")
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _read(response: urllib3.BaseHTTPResponse) -> bytes:
    """The body, cut shortly after the limit. It is never decompressed: http.client asks for "identity"."""
    content = b""
    while chunk := response.read(_MOST_BYTES, decode_content=False):
        content += chunk
        if len(content) > _MOST_BYTES:
            response.close()
            break
    return content


def retry_after(value: str, now: float) -> float | None:
    """The moment of a Retry-After header in either form (RFC 9110 §10.2.3), in epoch seconds; None if absent or bad."""
    seconds = re.fullmatch(r"\s*([0-9]+)\s*", value, re.ASCII)
    if seconds:
        return now + (int(seconds[1]) if len(seconds[1]) < 10 else 10**9)
    return http_date(value)


def http_date(value: str) -> float | None:
    """An HTTP date (RFC 9110 §5.6.7) in epoch seconds; None if absent or bad."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def algorithm(key: JWK) -> JWASignature:
    """The signature algorithm of requests with *key* (RFC 8555 §6.2)."""
    if isinstance(key, JWKRSA):
        return RS256
    return {256: ES256, 384: ES384}[key.key.key_size]


def _existing(ca_bundle: Path | None) -> Path | None:
    if ca_bundle is not None and not os.path.isfile(ca_bundle):  # pathlib's own raises an error where we may not look
        raise ConfigError("configuration", [Finding("acme.ca_bundle", f"{ca_bundle} is not a file that we can see")])
    return ca_bundle


def _problem(
    url: str, resource: str, response: urllib3.BaseHTTPResponse, content: bytes, ask_again_at: float | None
) -> AcmeProblem:
    """The error of an answer: from its problem document (RFC 7807, RFC 8555 §6.7), or from its status where a load
    balancer, a portal or a redirect answers without a document."""
    document: Any = None
    status = response.status
    if "json" in response.headers.get("Content-Type", ""):
        try:
            document = parse_json(content)
        except ValueError:
            document = None
    if not isinstance(document, dict) or not words.text(document.get("type")).startswith(_ACME_ERROR):
        why = f"HTTP {status} and no problem document of ACME" + (
            " but a redirect, which is not followed" if status // 100 == 3 else ""
        )
        hint = "the CA, or a proxy or load balancer before it, has trouble"
        if status < 500:
            hint += "; if it stays, check [acme] directory"
        what = f"the CA answered from {url}"
        return AcmeProblem(what, why=why, hint=hint, status=status, retry_after=ask_again_at, resource=resource)
    problem = words.problem(document)
    retry, hint = meaning(problem.kind, resource)
    return AcmeProblem(
        f"the CA at {words.host(url)} refused",
        why=problem.detail,
        hint=hint,
        kind=problem.kind,
        status=status,
        retry_after=ask_again_at,
        retry=retry,
        url=problem.url,
        resource=resource,
        identifiers=problem.identifiers,
    )


def _in_doubt(problem: AcmeProblem) -> bool:
    """May the CA have obeyed the POST? Not if it was refused (by a problem document, 3xx or 4xx) or never sent."""
    refused = problem.kind or MULTIPLE_CHOICES <= problem.status < INTERNAL_SERVER_ERROR
    return not refused and not isinstance(problem.__cause__, _NEVER_SENT)


def _unreachable(url: str, error: urllib3.exceptions.HTTPError) -> AcmeProblem:
    host = words.host(url)
    text = str(error)
    if isinstance(error, urllib3.exceptions.SSLError):
        hint = "for a private CA set [acme] ca_bundle to the file with the certificates that its server's TLS chains to"
        return AcmeProblem(f"the TLS certificate of {host} is not trusted", why=text, hint=hint)
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        why, hint = "its name cannot be resolved", "check [acme] directory and this machine's resolver"
    elif isinstance(error, urllib3.exceptions.NewConnectionError):  # before ConnectTimeoutError, its base class
        why = getattr(error.__cause__, "strerror", None) or text
        hint = "check that the CA is up and [acme] directory is right"
    elif isinstance(error, urllib3.exceptions.ConnectTimeoutError | urllib3.exceptions.ReadTimeoutError):
        why, hint = "no answer in time", "check the network and any firewall between here and the CA"
    else:
        why, hint = text, "check that the CA is up, and the network between here and it"
    return AcmeProblem(f"the CA at {host} cannot be reached", why=why, hint=hint)
