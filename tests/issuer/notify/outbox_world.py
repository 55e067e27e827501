"""An outbox over a real database, whose post and clock belong to the test."""

from common.errors import MailError
from common.log import Syslog
from issuer.model.config import DatabaseSettings
from issuer.model.enrolment import Validation
from issuer.model.events import Event
from issuer.model.tries import BY_NEXT_RUN
from issuer.notify.by_syslog import BySyslog
from issuer.notify.outbox import Outbox
from issuer.rules.csr import read_csr
from issuer.store import migrate
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.notices import Notices
from tests.issuer.migrated import migrated
from tests.issuer.signing_requests import csr
from tests.servers import database as servers

NAME = "www.example.test"


class Pigeons:
    """A post office that keeps what it is given, or takes nothing."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.down = False

    def send(self, subject: str, text: str) -> None:
        if self.down:
            raise MailError("no pigeon came back")
        self.sent.append((subject, text))


class World:
    """A outbox over one database, and a clock that the test moves."""

    def __init__(self, database: servers.Database) -> None:
        settings = DatabaseSettings(database.url, database.password_file, database.tls_ca)
        self.database = Database(settings)
        migrated(database, lambda: migrate.upgrade(self.database))
        certificates = Certificates(self.database)
        certificates.enrol(NAME, read_csr(csr([NAME])), comment="", validation=Validation(), now=1)
        certificates.set_enabled([NAME], enabled=True, now=1)
        self.now = 1_700_000_000.0
        self.post = Pigeons()
        self.notices = Notices(self.database, stuck_after=10, by_mail=True)
        self.outbox = self.another_outbox()

    def another_outbox(self, syslog: Syslog | None = None) -> Outbox:
        """A outbox of another process on the same database."""
        channels = [BySyslog(syslog)] if syslog else []
        clock, tries = lambda: self.now, BY_NEXT_RUN
        return Outbox(self.notices, self.post, channels, host="box", clock=clock, tries=tries)

    def hear(self, *told: Event) -> list[str]:
        """Subjects of the mails after a run in which this was told."""
        before = len(self.post.sent)
        for event in told:
            self.outbox.tell(event)
        assert self.outbox.settle()
        self.outbox.deliver()
        self.now += 3600
        return [subject for subject, _ in self.post.sent[before:]]
