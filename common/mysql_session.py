"""The session of every connection to MySQL or MariaDB, whatever the server's own settings and its init_connect say.

A server's setting changes what a client reads and how its statements are read: EMPTY_STRING_IS_NULL alone, and no order
was ever ours. So each is set at connect, by one statement that both makes of server take.
"""

from typing import Any

COLLATION = "utf8mb4_general_ci"  # the one that every version of both has
_VARIABLES = {
    "sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    # each names its variable for one make: comments with a version, which the other make leaves out
    "/*!80000 transaction_isolation */ /*M!100000 tx_isolation */": "'REPEATABLE-READ'",
    "completion_type": "0",  # else a COMMIT may end the connection
    "sql_select_limit": "18446744073709551615",  # rows; DEFAULT would be the server's own setting
    "sql_big_selects": "1",  # whatever max_join_size is
    "sql_safe_updates": "0",
    "sql_quote_show_create": "1",  # SQLAlchemy reads the tables in that form
    "unique_checks": "1",  # one order under way for a certificate: the index says so
    "time_zone": "'+00:00'",
}
OPTIONS: dict[str, Any] = {
    "charset": "utf8mb4",
    "collation": COLLATION,
    "init_command": f"SET SESSION {', '.join(f'{name} = {value}' for name, value in _VARIABLES.items())}",
}
"""For ``pymysql.connect``; the variables cost one round trip."""
