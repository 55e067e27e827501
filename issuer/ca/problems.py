"""Tables of ACME problem types: when to try again, and a hint. Pure.

Retry.SOON keeps the order; the others end it. An unknown type is Retry.LATER: CAs may add types (RFC 8555 §6.7).
"""

from common.errors import Retry

_TABLE: dict[str, tuple[Retry, str]] = {
    "accountDoesNotExist": (Retry.LATER, "the CA forgot this account; check [acme] directory and account_key"),
    "alreadyReplaced": (Retry.SOON, ""),
    "badRevocationReason": (Retry.NEVER, "choose another --reason"),
    "badCSR": (Retry.NEVER, "make a new CSR that the CA accepts, then `populate --replace NAME --csr FILE`"),
    "badNonce": (Retry.SOON, ""),
    "badPublicKey": (Retry.NEVER, "the CA does not accept this key; make a new key and CSR on the host"),
    "badSignatureAlgorithm": (Retry.NEVER, "use an account key of another type"),
    "caa": (Retry.LATER, "the domain's CAA record forbids this CA; add it there or choose another CA"),
    "connection": (Retry.LATER, "the CA could not reach the domain's servers; check them from outside"),
    "dns": (Retry.LATER, "the CA could not look up the name; check the delegation from outside with dig +trace"),
    "externalAccountRequired": (Retry.NEVER, "this CA wants eab_kid and eab_hmac_file in [acme]"),
    "incorrectResponse": (Retry.LATER, "the CA saw another answer than ours; look for a second DNS view or web server"),
    "invalidProfile": (Retry.NEVER, "this CA does not offer that profile; change [acme] profile"),
    "malformed": (Retry.LATER, ""),
    "orderNotReady": (Retry.SOON, ""),
    "rateLimited": (Retry.SOON, "wait until the moment that the CA names"),
    "rejectedIdentifier": (Retry.NEVER, "the CA does not issue for this name"),
    "serverInternal": (Retry.SOON, "the CA has trouble of its own"),
    "unauthorized": (Retry.LATER, "the CA does not allow our account to do this; its text tells why"),
    "unsupportedIdentifier": (Retry.NEVER, "the CA does not issue for this kind of name"),
    "userActionRequired": (Retry.NEVER, "open the address that the CA names and do what it asks"),
}
_OF_RESOURCE: dict[tuple[str, str], tuple[Retry, str]] = {  # (type, resource): the type means something else there
    ("invalidContact", "newAccount"): (Retry.NEVER, "mend contact of this CA"),
    ("malformed", "newAccount"): (Retry.NEVER, "look at contact, eab_kid and eab_hmac_file of this CA"),
    ("unauthorized", "newAccount"): (
        Retry.NEVER,
        "mend eab_kid and eab_hmac_file of this CA, as it gave them to you; for an account that was deactivated name a "
        "new file as account_key, then `certfleet-issuer init`",
    ),
    ("unsupportedContact", "newAccount"): (Retry.NEVER, "mend contact of this CA: it takes no such address"),
    ("unauthorized", "revokeCert"): (Retry.NEVER, "name the account_key that it was issued with: only that may revoke"),
}


def meaning(kind: str, resource: str = "") -> tuple[Retry, str]:
    """When to try again, and a hint. *kind*: the last part of the problem type's URN.

    *resource*: the name of the asked resource in the directory (RFC 8555 §7.1.1); "" for an order, an authorization
    or the error of a validation.
    """
    retry, hint = _OF_RESOURCE.get((kind, resource)) or _TABLE.get(kind, (Retry.LATER, ""))
    if resource == "newAccount" and retry is Retry.LATER:
        retry = Retry.NEVER  # our account stays as it is, however often we ask
    return retry, hint
