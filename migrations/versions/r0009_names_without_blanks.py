"""Blanks and line ends at the ends of a name go: neither a command nor an agent found such a row. A name that another
row has without them stays, and `check` tells of it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_RENAME = sa.text("UPDATE certs SET name = :bare WHERE name = :name")


def upgrade() -> None:
    connection = op.get_bind()
    names = [name for name in connection.scalars(sa.text("SELECT name FROM certs")) if isinstance(name, str)]
    taken = {name.casefold() for name in names}
    for name in names:
        bare = name.strip()
        if bare and bare.casefold() not in taken:
            taken.add(bare.casefold())
            connection.execute(_RENAME, {"name": name, "bare": bare})
