"""The certificate that one socket shows for a name, and its faults. Pure: no network, and the clock is a parameter."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from common.certificate import PARSE_ERRORS, certified_names, is_signed_by, must_staple, not_after, not_before
from common.clock import utc_text
from common.dataclasses import dataclass, field
from common.load_x509 import load_certificate
from common.names import covers
from common.probe.target import ProbeTarget
from common.probe.verdict import Match, Verdict, unverifiable
from common.probe.view import Seen, View
from common.revocation.state import Revocation

_SHORT = 1 / 6  # of its life is left: its renewal has been tried for a while


@dataclass(frozen=True, slots=True)
class Place:
    """The address that is looked at, and the name that is asked for: *name* is sent by SNI, "" for none.
    *family*: "IPv4" or "IPv6", "" where the target has no address. *is_own*: the address is this machine's."""

    target: ProbeTarget
    name: str
    address: str
    family: str = ""
    is_own: bool = False

    @property
    def host(self) -> str:
        """The host that the certificate is to cover."""
        return self.name or self.target.host


@dataclass(frozen=True, slots=True)
class Staple:
    """The OCSP answer beside the certificate. *is_there*: None where it could not be looked for, and *problem* says
    why."""

    is_there: bool | None
    says: Revocation = Revocation()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """*certificates*: the leaf first, empty where none is shown or one cannot be parsed; then *fault* says so."""

    place: Place
    view: View
    certificates: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    fault: str = ""
    staple: Staple = Staple(None)
    revocation: Revocation = Revocation()
    verdict: Verdict = unverifiable("nobody was asked")

    @property
    def leaf(self) -> x509.Certificate | None:
        return self.certificates[0] if self.certificates else None

    @property
    def issuer(self) -> x509.Certificate | None:
        """The issuer's certificate, where it is shown."""
        if self.leaf is None:
            return None
        return next((one for one in self.certificates[1:] if is_signed_by(self.leaf, one)), None)

    @property
    def is_covered(self) -> bool | None:
        """Does the certificate name the host? None where it need not: a host is often looked at by an address that its
        certificate does not name, and that is no fault."""
        names = certified_names(self.leaf) if self.leaf is not None else frozenset()
        return any(covers(pattern, self.place.host) for pattern in names) or (False if self.place.name else None)

    def problems(self, now: float) -> list[str]:
        """Sentences about what is wrong at *now* (epoch seconds); empty when all is well."""
        return list(self._problems(now))

    def _problems(self, now: float) -> Iterator[str]:
        leaf = self.leaf
        if leaf is None:
            yield self.fault or self.view.problem
            return
        if now < not_before(leaf):
            yield f"it is not valid before {utc_text(not_before(leaf))}"
        if not_after(leaf) <= now:
            yield f"it expired at {utc_text(not_after(leaf))}"
        if self.is_covered is False:
            yield f"it does not cover {self.place.host}"
        if revoked := next((one for one in (self.revocation, self.staple.says) if one.revoked), None):
            since = f" since {utc_text(revoked.since)}" if revoked.since is not None else ""
            yield f"it is revoked{since}" + (f" ({revoked.reason})" if revoked.reason else "")
        if self.staple.is_there is False and must_staple(leaf):
            yield "it demands a stapled OCSP answer, and there is none"

    def doubts(self, now: float) -> list[str]:
        """Sentences about what is well still, or not well by others' fault."""
        found = []
        if self.leaf is not None:
            start, end = not_before(self.leaf), not_after(self.leaf)
            short = 0 < end - now < (end - start) * _SHORT
            found += [f"it ends soon, at {utc_text(end)}"] if short else []
        found += [f"the stapled answer does not count: {one.problem}" for one in self.staple.says.problems]
        if self.verdict.match is Match.MISMATCH:
            found.append(f"it is not what the database has: {self.verdict.why}")
        return found


def shown_at(place: Place, view: View) -> Shown:
    """The parsed *view*."""
    if view.seen is not Seen.SERVED:
        return Shown(place, view)
    try:
        certificates = tuple(map(load_certificate, view.shown))
        certified_names(certificates[0])
        key_text(certificates[0])
    except PARSE_ERRORS as error:
        return Shown(place, view, fault=f"a certificate shown cannot be parsed: {error}")
    return Shown(place, view, certificates)


def key_text(certificate: x509.Certificate) -> str:
    """Type and size of the key, for people."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return f"ECDSA {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__
