"""The daemons of the drill, by their names."""

from tests.drill.database import DATABASES
from tests.drill.directory import DIRECTORY
from tests.drill.ftp import FTP
from tests.drill.mail import MAIL
from tests.drill.messaging import MESSAGING
from tests.drill.proxies import PROXIES
from tests.drill.web import WEB

DAEMONS = {one.name: one for one in (*WEB, *MAIL, *DIRECTORY, *FTP, *DATABASES, *MESSAGING, *PROXIES)}
