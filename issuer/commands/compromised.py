"""A key that others know must not be certified again (RFC 5280 §5.3.1, keyCompromise)."""

from collections.abc import Iterable
from shlex import quote

from common.errors import RefusedError
from issuer.csr import CsrRefused, read_csr
from issuer.store.history import History


def refuse_compromised(history: History, requests: Iterable[tuple[str, bytes]]) -> None:
    """*requests*: (name, CSR). RefusedError where a certificate of that name and key was revoked for its key."""
    compromised = history.compromised()
    concerned = {name for name, _ in compromised}
    found = [name for name, csr in requests if name in concerned and (name, _key(csr)) in compromised]
    if found:
        what = f"the key of {', '.join(sorted(found))} was revoked as compromised"
        hint = f"make a new key and CSR on the host, then `remove {quote(found[0])}` and `populate` it with that"
        raise RefusedError(what, hint=hint, reference="key-compromised")


def _key(csr: bytes) -> str:
    try:
        return read_csr(csr).spki_sha256
    except CsrRefused:  # which is said elsewhere
        return ""
