"""The Protocols of the rows of ``certs``: read and planned, with the outcomes of attempts, and those that wait for a
person's approval. Moments are epoch seconds."""

from collections.abc import Sequence
from typing import Protocol

from common.certificate import Bundle
from issuer.model.enrolment import Enrolment
from issuer.model.failure import Failure
from issuer.model.obtained import Obtained
from issuer.model.orders import OrderRecord


class CertificateRows(Protocol):
    """The rows of ``certs``: what an attempt reads and plans. Every method may raise StoreError; a change of a row that
    is gone does nothing. With *change*, a method saves moments and failures of the CSR that waits, in place of those of
    the row."""

    def get(self, names: Sequence[str]) -> list[Enrolment]:
        """The rows of *names* in that order. Raises UsageError with every name that is not enrolled."""

    def enrolled(self, names: Sequence[str]) -> list[Enrolment]:
        """The rows of those *names* that are enrolled."""

    def last_from(self, issuer: str) -> Bundle | None:
        """The certificate, of any name, that was stored last of those that *issuer* (a name for people) has signed, and
        that waits for no approval."""

    def due(self, now: int) -> list[Enrolment]:
        """Enabled rows whose moment has come, is not known, or cannot be meant."""

    def request_reissue(self, names: Sequence[str], reason: str) -> None:
        """Make *names* and their changes due whatever their dates say, until a new certificate is stored. *reason* is
        shown to people."""

    def postpone(self, name: str, due_at: int, *, change: bool = False) -> None:
        """Save the next moment of *name*."""

    def plan_look(self, row: Enrolment, due_at: int, *, over: bool = False) -> None:
        """Save the next moment of *row*, which is not due, or of its change where the row is seen by that; and that its
        failure is *over*. Does nothing where the table has another certificate, moment or wish by now."""

    def save_renewal_info(self, row: Enrolment, explanation_url: str) -> None:
        """Save the row's moments of renewal information; *explanation_url* is the page of the CA about it, "" for
        none. Does nothing where the table has another certificate by now."""


class CertificateStore(CertificateRows, Protocol):
    """The same rows, and the outcomes of attempts: the same errors, the same meaning of *change*."""

    def record_failure(self, name: str, failure: Failure, due_at: int, now: int, *, change: bool = False) -> None:
        """Count one failure more, with its facts and the moment of the next attempt."""

    def give_up_by_hand(
        self, name: str, wish: str, failure: Failure, *, due_at: int | None, now: int, change: bool = False
    ) -> None:
        """Record that a step by hand failed. *wish* becomes the row's reissue reason; *due_at* its next moment."""

    def store(self, order: OrderRecord, obtained: Obtained, now: int, *, news: str = "", unapproved: str = "") -> None:
        """Make what was *obtained* the present certificate with a statement about it, keep the pair before it, and end
        *order* as STORED, in one transaction. If its CSR is that of a change, that becomes the CSR of the row, and the
        change is over. *news* of its CA stand in the history. With *unapproved*, a line of :class:`Seals`, it waits for
        approval beside the present one until its *due_at*. Raises GivenUp where the order was ended meanwhile,
        Overtaken where the row is gone or has another CSR: then only the versions keep the certificate."""


class ApprovalStore(Protocol):
    """Certificates that wait for a person's approval. Every method may raise StoreError."""

    def certificate(self, row: Enrolment) -> Bundle | None:
        """The certificate that waits in *row*, with its chain; None without one that can be read."""

    def offer(self, row: Enrolment, obtained: Obtained, now: int) -> bool:
        """Make what waits in *row* the present certificate, as :meth:`CertificateStore.store` does. False
        where the row is not as it was read."""
