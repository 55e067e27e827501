"""The daemons of the drill, by the name of their preset."""

from tests.drill.database import DATABASES
from tests.drill.ftp import FTP
from tests.drill.messaging import MESSAGING
from tests.drill.proxies import PROXIES
from tests.drill.web import WEB

DAEMONS = {one.preset: one for one in (*WEB, *FTP, *DATABASES, *MESSAGING, *PROXIES)}
