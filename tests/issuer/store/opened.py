"""A database as the issuer opens it, and several threads at it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common.certificate import Bundle
from issuer.model.config import DatabaseSettings
from issuer.model.obtained import Obtained
from issuer.store.database import Database
from issuer.trust.seals import Seals, create_key, key_file
from tests.servers import database as servers

NAME, NOW, CA = "www.example.test", 1_800_000_000, "https://ca.example.test/dir"


def opened(database: servers.Database, **limits: int) -> Database:
    return Database(DatabaseSettings(database.url, database.password_file, database.tls_ca), **limits)


def obtained(csr: bytes, bundle: Bundle, *, due_at: int = NOW, **more: Any) -> Obtained:
    """*bundle* from our CA, which offers no renewal information unless *more* says so."""
    return Obtained(csr, bundle, CA, due_at, **{"ask_at": None, **more})


def tables(database: servers.Database) -> set[str]:
    """The names of its tables."""
    kind = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    if not isinstance(database, servers.SqliteDatabase):
        kind = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
    return {name for (name,) in database.query(kind)}


def seals_in(folder: Path) -> Seals:
    """The seals of an issuer with its key in *folder*."""
    if not key_file(folder).exists():
        create_key(key_file(folder))
    return Seals(folder)


def side_by_side(*works: Callable[[], Any]) -> list[Any]:
    """What several threads return that begin at the same moment."""
    barrier, results = threading.Barrier(len(works)), [None] * len(works)

    def work(number: int) -> None:
        barrier.wait()
        results[number] = works[number]()

    threads = [threading.Thread(target=work, args=[number]) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
