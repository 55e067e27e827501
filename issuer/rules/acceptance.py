"""May this certificate be stored? Pure: the CA's answer against the CSR and the present certificate."""

from collections.abc import Collection
from dataclasses import dataclass

from cryptography.x509 import Certificate

from common.certificate import (
    Bundle,
    certified_names,
    chain_faults,
    fingerprint,
    is_signed_by,
    not_after,
    not_before,
    parse_bundle,
    spki_sha256,
)
from common.errors import Retry
from issuer.model.csr import CsrFacts
from issuer.model.errors import AcmeProblem, WrongCertificate
from issuer.model.leaf import Damaged, Leaf

_LONE = (
    "if this CA signs with its root, which it does not send, add that root to the file that its ca_bundle names, "
    "beside what its server's TLS needs; else report it to the CA"
)
_OTHER_KEY = "its key is not the key of the CSR"
_AGAIN = "an earlier order may have been set under way again: find out who writes to the table orders"
_BACKDATED = 86400  # seconds: CAs let a certificate begin up to so much before they issue it
_MOST_SORTED = 8  # certificates: each order is tried


@dataclass(frozen=True, slots=True)
class Past:
    """The certificates of a name as an issuer remembers them, whatever the database says. *stored* and *revoked*: their
    SHA-256. *issued*: the notBefore (epoch seconds) of each that was stored. *revoked* has keys as well; a certificate
    for one of these is put on record where it is stored, so that it can be revoked too. *ordered*: the moments at which
    a CA opened an order for it, within a day."""

    stored: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()
    issued: tuple[int, ...] = ()
    ordered: tuple[int, ...] = ()

    def faults(self, leaf: Certificate) -> list[str]:
        """Why *leaf* is no new certificate."""
        sha256, found = fingerprint(leaf), []
        if sha256 in self.stored:
            found.append("it was stored before")
        elif not_before(leaf) < max(self.issued, default=0) - _BACKDATED:
            found.append("it is older than one that was stored before")
        if sha256 in self.revoked:
            found.append("it was revoked")
        return found


def straightened(bundle: Bundle) -> Bundle:
    """*bundle* with each key of the chain once, and in the order of the signatures: of certificates that share a key,
    as cross-signed ones do, that which leads further. Where the signatures do not lead through all keys the chain stays
    as it came."""
    if len(bundle.chain) > _MOST_SORTED:
        return bundle
    others = [each for each in bundle.chain if each != bundle.leaf]
    _, *chain = _longest((bundle.leaf,), others)
    keys = {spki_sha256(each.public_key()) for each in chain}
    led = all(spki_sha256(each.public_key()) in keys for each in others)
    return Bundle(bundle.leaf, tuple(chain)) if led else bundle


def _longest(chain: tuple[Certificate, ...], others: Collection[Certificate]) -> tuple[Certificate, ...]:
    """*chain*, gone on with as far as the signatures of *others* lead without meeting a key twice."""
    keys = {spki_sha256(each.public_key()) for each in chain}
    ways = [
        _longest((*chain, each), others)
        for each in others
        if spki_sha256(each.public_key()) not in keys and is_signed_by(chain[-1], each)
    ]
    return max(ways, key=len, default=chain)


def accept(
    pem: bytes,
    csr: CsrFacts,
    now: float,
    *,
    present: Leaf | Damaged | None,
    past: Past = Past(),
    extra_names: bool = False,
    resumed: bool = False,
) -> Bundle:
    """The certificate and chain in *pem*, if key and names are the CSR's, the chain verifies, it differs from
    *present*, and *past* does not know it. With *extra_names* it may have more names than the CSR. *resumed*: the
    order was interrupted, so a CA that gives one order to all who ask for the same names may have let another
    certificate finish it. Raises WrongCertificate, AcmeProblem for that case, and with Retry.SOON for an answer that is
    no certificate. A notBefore in the future is no fault: this machine's clock may run late."""
    try:
        bundle = straightened(parse_bundle(pem))
    except ValueError as error:
        hint = "certfleet asks again; if this stays, report it to the CA"
        raise AcmeProblem("the CA's answer is no certificate", why=str(error), hint=hint) from error
    chain = chain_faults(bundle)
    faults = [*chain]
    if spki_sha256(bundle.leaf.public_key()) != csr.spki_sha256:
        faults.append(_OTHER_KEY)
    names = certified_names(bundle.leaf)
    if names != set(csr.names) and not (extra_names and names > set(csr.names)):
        faults.append(f"its names are {', '.join(sorted(names)) or 'none'}, the CSR asks for {', '.join(csr.names)}")
    if not_after(bundle.leaf) <= now:
        faults.append("it has expired already")
    if isinstance(present, Leaf) and fingerprint(bundle.leaf) == present.sha256:
        faults.append("it is the one that is there already, not a new one")
    elif old := past.faults(bundle.leaf):
        raise WrongCertificate("; ".join([*faults, *old]), _AGAIN)
    if resumed and faults == [_OTHER_KEY]:
        what = "the order was finished for another certificate of the same names"
        raise AcmeProblem(what, why=_OTHER_KEY, hint="no action needed: a new order follows", retry=Retry.LATER)
    if faults:
        alone = not bundle.chain and faults == chain
        raise WrongCertificate("; ".join(faults), _LONE if alone else "report it to the CA")
    return bundle
