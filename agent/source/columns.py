"""The tables of earlier issuers, and views of an operator's own, lack some columns: then those are done without."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from agent.model.errors import SourceError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

OFFER_COLUMNS = (("crt", "ca", "rolled_back", "statement"), ("crt", "ca", "rolled_back"), ("crt", "ca"))
"""The columns of ``certs`` that make an offer, in the tables of this and of earlier issuers, the newest first."""


def newest(
    each: Sequence[Asked], ask: Callable[[Asked], Answer], lacks_column: Callable[[BaseException | None], bool]
) -> Answer:
    """The answer with the first of *each*, sets of columns, whose columns are all there; the last one is asked for in
    any case. *lacks_column* knows the database's error for a column that is not there. Raises SourceError."""
    for columns in each[:-1]:
        try:
            return ask(columns)
        except SourceError as error:
            if not lacks_column(error.__cause__):
                raise
    return ask(each[-1])
