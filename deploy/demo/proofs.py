"""The results as facts: each proof is one sentence that holds or does not, and none is taken from a log."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from common.command_line import say

MARK = b"PRIVATE KEY"


@dataclass(slots=True)
class Proofs:
    """Collects them all, so that one that fails does not hide the next."""

    failed: list[str] = field(default_factory=list)
    count: int = 0

    def that(self, holds: bool, sentence: str) -> None:
        """Write down whether the sentence holds."""
        self.count += 1
        say(f"  {'proved' if holds else 'FAILED'}: {sentence}")
        if not holds:
            self.failed.append(sentence)


def fields(openssl_output: str) -> dict[str, str]:
    """The lines "name=value" that openssl prints."""
    return dict(line.split("=", 1) for line in openssl_output.splitlines() if "=" in line)


def column(database: Path, name: str, what: str) -> str:
    """One value of the table `certs`, read as any client would."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        row = connection.execute(f"SELECT {what} FROM certs WHERE name = ?", (name,)).fetchone()  # noqa: S608 - ours
    value = row[0]
    return value.decode() if isinstance(value, bytes) else str(value)


def key_traces(key_file: Path) -> list[bytes]:
    """The parts that a copy of this key would contain in any format: PEM lines, DER, the secret numbers themselves."""
    content = key_file.read_bytes()
    key = load_pem_private_key(content, None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("the demo uses an RSA key, because only that has a modulus to check")
    numbers = key.private_numbers()
    secrets = [number.to_bytes((number.bit_length() + 7) // 8) for number in (numbers.p, numbers.q, numbers.d)]
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    lines = [line for line in content.splitlines() if not line.startswith(b"-----")]
    return [*lines[len(lines) // 3 : -1], der, *secrets]  # the first quarter is the modulus, which is public


def holders(folder: Path, database: Path | None, traces: list[bytes]) -> list[str]:
    """Every file below *folder*, and every column of the database, that holds one of the traces."""
    places = [*_files(folder), *(_columns(database) if database else [])]
    return sorted({place for place, content in places if any(trace in content for trace in traces)})


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(folder)), file.read_bytes()


def _columns(database: Path) -> Iterator[tuple[str, bytes]]:
    """Value by value: in the file itself a long one is cut into pages."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        tables = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a name from the database itself
            names = [description[0] for description in rows.description]
            for row in rows:
                for name, value in zip(names, row, strict=True):
                    yield f"{table}.{name}", value if isinstance(value, bytes) else str(value).encode()
