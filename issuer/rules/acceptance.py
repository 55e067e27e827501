"""May this certificate be stored? Pure: the CA's answer against the CSR and the present certificate."""

from common.certificate import (
    Bundle,
    certified_names,
    chain_faults,
    fingerprint,
    is_signed_by,
    not_after,
    parse_bundle,
    spki_sha256,
)
from issuer.model.csr import CsrFacts
from issuer.model.errors import AcmeProblem, WrongCertificate
from issuer.model.leaf import Damaged, Leaf


def straightened(bundle: Bundle) -> Bundle:
    """*bundle* with each certificate of the chain once, and in the order of the signatures. Where they do not lead
    through all of them the chain stays as it came."""
    rest = {fingerprint(each): each for each in bundle.chain if fingerprint(each) != fingerprint(bundle.leaf)}
    chain = [bundle.leaf]
    while issuer := next((each for each in rest.values() if is_signed_by(chain[-1], each)), None):
        chain.append(rest.pop(fingerprint(issuer)))
    return bundle if rest else Bundle(bundle.leaf, tuple(chain[1:]))


def accept(
    pem: bytes, csr: CsrFacts, now: float, *, present: Leaf | Damaged | None, extra_names: bool = False
) -> Bundle:
    """The certificate and chain in *pem*, if key and names are the CSR's, the chain verifies, and it differs from
    *present*. With *extra_names* it may have more names than the CSR. Raises WrongCertificate, and AcmeProblem with
    Retry.SOON for an answer that is no certificate. A notBefore in the future is no fault: this machine's clock may run
    late."""
    try:
        bundle = straightened(parse_bundle(pem))
    except ValueError as error:
        hint = "certfleet asks again; if this stays, report it to the CA"
        raise AcmeProblem("the CA's answer is no certificate", why=str(error), hint=hint) from error
    faults = chain_faults(bundle)
    if spki_sha256(bundle.leaf.public_key()) != csr.spki_sha256:
        faults.append("its key is not the key of the CSR")
    names = certified_names(bundle.leaf)
    if names != set(csr.names) and not (extra_names and names > set(csr.names)):
        faults.append(f"its names are {', '.join(sorted(names)) or 'none'}, the CSR asks for {', '.join(csr.names)}")
    if not_after(bundle.leaf) <= now:
        faults.append("it has expired already")
    if isinstance(present, Leaf) and fingerprint(bundle.leaf) == present.sha256:
        faults.append("it is the one that is there already, not a new one")
    if faults:
        raise WrongCertificate("; ".join(faults))
    return bundle
