"""One order in flight, as the journeys hand it from step to step."""

from common import dataclasses
from common.dataclasses import dataclass
from common.errors import Retry
from issuer.journey.ports import CertificateAuthority, Tools
from issuer.model.acme import CaOrder, Challenge, Laggard
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.errors import AcmeProblem
from issuer.model.orders import OrderRecord


@dataclass(slots=True)
class Work:
    """One order in flight. Only *record* outlives the process; the rest saves questions that were answered already."""

    record: OrderRecord
    row: Enrolment
    csr: CsrFacts
    resumed: bool = False
    asked: bool = False  # the CA may know of it: newOrder was sent, and no answer refused it
    ca_order: CaOrder | None = None
    journalled: list[Challenge] | None = None  # what is or may be published
    looks: int = 0
    unseen: list[Laggard] = dataclasses.field(default_factory=list)  # at the last look
    answered: bool = False
    told_at: float = 0.0  # when this process told the CA to look
    stored: str = ""  # one line about the new certificate

    def forget(self) -> None:
        """After an interruption the answers heard before may no longer hold, so ask again."""
        self.ca_order, self.journalled, self.resumed, self.answered = None, None, True, False


def journalled(work: Work, tools: Tools) -> list[Challenge]:
    """The order's entries: as this process wrote them, else read from the journal."""
    if work.journalled is None:
        work.journalled = tools.journal.of(work.record.id)
    return work.journalled


def authority(record: OrderRecord, tools: Tools) -> CertificateAuthority:
    """The CA of an order. Raises AcmeProblem if it is no longer configured."""
    ca = tools.authorities.get(record.directory)
    if ca is None:
        what = f"the order for {record.name} is with a CA that is not configured any more"
        raise AcmeProblem(what, why=record.directory, hint="a new order is opened next time", retry=Retry.LATER)
    return ca
