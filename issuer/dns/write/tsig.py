"""TSIG keys (RFC 8945) from the file that `tsig-keygen` writes and `named.conf` includes."""

import base64
import re
from pathlib import Path

import dns.exception
import dns.name
import dns.tsig

from common.errors import ConfigError, Finding
from common.files import read_secret

_ALGORITHMS = ("hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")
_QUOTED_OR_COMMENT = re.compile(r'"[^"\n]*"|//[^\n]*|#[^\n]*|/\*.*?\*/', re.DOTALL)
_KEY = re.compile(r'key\s+"?([^"\s{]+)"?\s*\{(.*?)\}\s*;', re.DOTALL | re.IGNORECASE)


def load_tsig_key(file: Path) -> dns.tsig.Key:
    """The key in *file*, its name in lower case. Raises ConfigError unless it holds exactly one well-formed key of a
    known algorithm.

    The signature covers the name in lower case (RFC 8945 §4.3.3), but PowerDNS 4.7 checks it with the name as sent.
    """
    text = read_secret(file).decode("utf-8", "replace")
    keys = _KEY.findall(_strip_comments(text))
    if len(keys) != 1:
        raise _wrong(file, f"holds {len(keys)} TSIG keys where one is expected")
    name, body = keys[0]
    algorithm = _field(body, "algorithm").lower()
    if algorithm not in _ALGORITHMS:
        raise _wrong(file, f"uses the algorithm {algorithm or 'none'}; known are {', '.join(_ALGORITHMS)}")
    secret = _field(body, "secret")
    try:
        if not base64.b64decode(secret, validate=True):
            raise _wrong(file, "holds an empty secret")
        return dns.tsig.Key(dns.name.from_text(name).canonicalize(), secret, dns.name.from_text(algorithm))
    except (ValueError, dns.exception.DNSException) as error:  # never repeat the value: it is a secret
        raise _wrong(file, "holds a malformed key name or secret") from error


def readable_tsig_key(file: Path | None) -> dns.tsig.Key | None:
    """The key in *file*, None without a file or if it cannot be used here: its secret may be for another user only."""
    try:
        return load_tsig_key(file) if file else None
    except ConfigError:
        return None


def _strip_comments(text: str) -> str:
    # match quoted text first: base64 may hold "//". A comment may hold a key that is no longer used
    return _QUOTED_OR_COMMENT.sub(lambda match: match[0] if match[0].startswith('"') else "", text)


def _field(body: str, name: str) -> str:
    match = re.search(rf'\b{name}\s+"?([^";\s]+)"?\s*;', body, re.IGNORECASE)
    return match[1] if match else ""


def _wrong(file: Path, problem: str) -> ConfigError:
    return ConfigError(str(file), [Finding("", problem)], hint="make one with `tsig-keygen -a hmac-sha256 NAME`")
