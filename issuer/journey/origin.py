"""Where a new certificate comes from: what is kept of that, and what people hear of it."""

from common.certificate import Bundle, fingerprint, issuer_text
from issuer.journey.ports import CertificateAuthority, Tools
from issuer.journey.work import Work
from issuer.model.events import Event
from issuer.model.obtained import Obtained
from issuer.model.unapproved import Unapproved
from issuer.rules.ca_ahead import NO_PROFILE
from issuer.rules.ca_change import change_of_ca, is_other_issuer


def profile_asked(work: Work, tools: Tools) -> str:
    """The profile that the configuration names for the CA of the order; NO_PROFILE for none."""
    profiles = {ca.directory: ca.profile for ca in tools.settings.authorities}
    return profiles.get(work.record.directory) or NO_PROFILE


def change_of_authority(work: Work, bundle: Bundle, tools: Tools) -> Event | None:
    """The news of another CA behind the new certificate; None for no news. Raises StoreError."""
    before, moved = work.row.bundle, (work.row.directory, work.record.directory)
    known = tools.certificates.last_from(issuer_text(bundle.leaf)) if is_other_issuer(before, bundle) else None
    configured = list(tools.authorities)
    return change_of_ca(work.record.name, before, bundle, directories=moved, configured=configured, known=known)


def unapproved_line(name: str, obtained: Obtained, ca: CertificateAuthority, tools: Tools) -> str:
    """The sealed line that lets the new certificate wait for approval until its moment. Raises ConfigError."""
    content = Unapproved(
        name=name,
        sha256=fingerprint(obtained.bundle.leaf),
        until=obtained.due_at,
        directory=obtained.directory,
        account=obtained.account,
        profile=obtained.profile,
        early=obtained.early,
        asks=ca.offers_renewal_info,
    )
    return tools.seals.seal(content)
