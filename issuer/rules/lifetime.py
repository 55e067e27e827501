"""How long may a certificate of a public CA live? Pure.

Source: CA/Browser Forum Baseline Requirements §6.3.2, with the steps of ballot SC-081v3. The end counts as the last
second of the life, so a life of N days is one second shorter.
"""

from datetime import UTC, datetime

from cryptography import x509

from common.certificate import not_after, not_before, readable_extension

_DAY = 86400
_STEPS = (  # issued from that day on: most days of life
    (datetime(2029, 3, 15, tzinfo=UTC), 47),
    (datetime(2027, 3, 15, tzinfo=UTC), 100),
    (datetime(2026, 3, 15, tzinfo=UTC), 200),
    (datetime(2020, 9, 1, tzinfo=UTC), 398),
    (datetime(2018, 3, 1, tzinfo=UTC), 825),
)
_REQUIREMENTS = "2.23.140.1."  # the policies of the Baseline Requirements and of the EV Guidelines


def most_days(certificate: x509.Certificate) -> int | None:
    """The days that *certificate* may live at most; None where no rule is known, as for a private CA. A CA that is
    bound by the rules says so by a policy (Baseline Requirements §7.1.6.1)."""
    if not _is_bound(certificate):
        return None
    begin = certificate.not_valid_before_utc
    return next((days for since, days in _STEPS if begin >= since), None)


def seconds_of_life(certificate: x509.Certificate) -> int:
    """From its first second to its last one, both counted (RFC 5280 §4.1.2.5)."""
    return not_after(certificate) - not_before(certificate) + 1


def lives_too_long(certificate: x509.Certificate) -> bool:
    """Does it live longer than :func:`most_days` allows? False where no rule is known."""
    days = most_days(certificate)
    return days is not None and seconds_of_life(certificate) > days * _DAY


def _is_bound(certificate: x509.Certificate) -> bool:
    policies = readable_extension(certificate, x509.CertificatePolicies) or ()
    return any(policy.policy_identifier.dotted_string.startswith(_REQUIREMENTS) for policy in policies)
