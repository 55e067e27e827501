"""Does a row hold what was enrolled? Pure: the seal was proven genuine before (:mod:`issuer.trust.seals`)."""

from common import dataclasses
from issuer.model.enrolment import Enrolment
from issuer.model.seal import Sealed, takeover_of
from issuer.model.seal_faults import Fault


def faults(row: Enrolment, sealed: Sealed, newest: int) -> list[Fault]:
    """The faults of *row* beside its seal. *newest*: the highest number that this issuer has seen for its name."""
    if sealed.name != row.name:
        return [Fault.OTHER_ROW]
    if sealed.number < newest:
        return [Fault.OLD]
    if sealed == _quickly(row, sealed):
        return []
    present = Sealed.of(row, sealed.number)
    compared = {
        Fault.KEY: (sealed.key, present.key),
        Fault.NAMES: (sealed.names, present.names),
        Fault.VALIDATION: (sealed.validation, present.validation),
        Fault.IMPORTED: (sealed.imported, present.imported),
        Fault.TAKEOVER: (sealed.takeover, _takeover(row, sealed)),
    }
    return [fault for fault, (was, is_now) in compared.items() if was != is_now]


def _quickly(row: Enrolment, sealed: Sealed) -> Sealed:
    """The content of *row* without parsing its CSR: the same text has the same key and names."""
    imported = row.imported and not row.changing
    found = Sealed.enrolling(row.name, row.csr, None, row.validation, sealed.number, imported=imported)
    return dataclasses.replace(found, key=sealed.key, names=sealed.names, takeover=_takeover(row, sealed))


def _takeover(row: Enrolment, sealed: Sealed) -> int:
    """The moment of *row* to compare with the seal's. A row that took over keeps the seal of its change."""
    return takeover_of(row) if row.changing else sealed.takeover
