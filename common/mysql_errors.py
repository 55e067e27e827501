"""The subject of an error of a MySQL or MariaDB server, or of PyMySQL. Pure: PyMySQL itself is not imported."""

from enum import Enum

READ_ONLY_CODES = frozenset({1036, 1290, 1792, 1836})
"""InnoDB's own, --read-only and --super-read-only, a session whose transactions are, and what Aurora's readers say."""

AGAIN = frozenset({1213, 1205, 3101, 1020})
"""The server has taken the transaction back, and it ends well if it is done again: a deadlock (on Galera also a lost
conflict at COMMIT), a lock wait timeout, a lost conflict at COMMIT in MySQL's group replication, and a row that changed
since it was read (innodb_snapshot_isolation, MariaDB's default from 11.6.2)."""
CROWDED_CODES = frozenset({1040, 1203, 1226})
"""Nothing was begun: the server, or the account, has all the connections that it may have."""


class About(Enum):
    """The thing that somebody has to look at."""

    LOGIN = "user, password, or where the account comes from"
    RIGHTS = "the grants of the account"
    NO_DATABASE = "a database of that name"
    SCHEMA = "tables or columns that are not there"
    CHARACTERS = "a column's character set"
    ROOM = "a value that is longer than its column"
    DUPLICATE = "a row that is there already"
    FULL = "the rows that an account may have"
    READ_ONLY = "a server that takes no writes"
    CROWDED = "how many connections there may be"
    LOCKED = "rows that another connection keeps locked"
    TLS = "the server's certificate"
    UNREACHABLE = "the server, or the way to it"
    OTHER = "anything else"


_CODES = {
    **dict.fromkeys((1045, 1698), About.LOGIN),
    **dict.fromkeys((1044, 1142, 1143, 1370), About.RIGHTS),
    1049: About.NO_DATABASE,
    **dict.fromkeys((1146, 1054), About.SCHEMA),
    **dict.fromkeys((1267, 1366), About.CHARACTERS),  # in a comparison, and in a value
    **dict.fromkeys((1264, 1406), About.ROOM),
    1062: About.DUPLICATE,
    1644: About.FULL,  # our own trigger on the table installations
    **dict.fromkeys(READ_ONLY_CODES, About.READ_ONLY),
    **dict.fromkeys(CROWDED_CODES, About.CROWDED),
    1205: About.LOCKED,
    2026: About.TLS,
    **dict.fromkeys((2002, 2003, 2006, 2013), About.UNREACHABLE),
}


def code_of(error: BaseException) -> int:
    """The number of *error*, 0 without one."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def text_of(error: BaseException) -> str:
    """The words of *error*, without its number. An error that a library made of our own words may quote a secret."""
    if isinstance(error, UnicodeError):
        return "a text cannot be sent to the server, or read from it"
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def about(error: BaseException) -> About:
    """The subject of *error*. PyMySQL reports a certificate that does not verify as an unreachable server."""
    if "certificate verify failed" in text_of(error).lower().replace("_", " "):
        return About.TLS
    return _CODES.get(code_of(error), About.OTHER)
