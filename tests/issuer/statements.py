"""The SQL text of a statement is compiled once in a process of the tests, as in a process of the product.

An engine keeps what it has compiled for itself. Each command that a test runs in this process makes an engine, and
would compile the same fifty statements again: a quarter of its processor time.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect


class _Compiled(dict[Any, Any]):
    """SQLAlchemy's keys begin with the dialect, which each engine has an own one of: here engines share that talk to
    the same version of the same make of database."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_shared(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_shared(key), compiled)


def _shared(key: Any) -> Any:
    dialect: Dialect = key[0]
    return dialect.name, dialect.server_version_info, getattr(dialect, "is_mariadb", None), *key[1:]


_COMPILED = _Compiled()


def share_compiled() -> None:
    """From now on, for every engine of this process."""

    @sa.event.listens_for(sa.Engine, "engine_connect")
    def share(connection: sa.Connection) -> None:
        connection.execution_options(compiled_cache=_COMPILED)
