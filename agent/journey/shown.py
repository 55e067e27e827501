"""The certificate that a socket shows, in words: whose it is, where it is not the one that is meant."""

from agent.rules.evidence import Evidence
from common.certificate import certified_names, load_certificates
from common.text import some


def names_in(leaf: bytes) -> frozenset[str]:
    """The names of a certificate in DER; none if it cannot be read."""
    try:
        return certified_names(load_certificates(leaf)[0])
    except (ValueError, IndexError):
        return frozenset()


def whose(leaf: bytes) -> str:
    """The names of *leaf* for people, as "for a.example.com, b.example.com"."""
    return f"for {some(sorted(names_in(leaf))) or 'no name'}"


def with_names(evidence: Evidence, before: str = "") -> str:
    """The detail of *evidence*, and whose certificate each socket shows that shows another one: it may be the one
    *before*, by its SHA-256."""
    others = {sight.target: sight for sight in evidence.others if sight.leaf}
    told = (
        f"the one at {target} is {'the one before' if sight.sha256 == before else whose(sight.leaf)}"
        for target, sight in others.items()
    )
    return "; ".join([evidence.detail, *told])
