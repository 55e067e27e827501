"""Long lists of cases of one kind: `make test` tries some of them, `make soak` the others too."""

from collections.abc import Iterable
from typing import Any

import pytest


def every_other(cases: Iterable[Any]) -> list[Any]:
    """The *cases* for one parameter; the second, the fourth and so on are for `make soak` alone."""
    return [pytest.param(case, marks=pytest.mark.soak if number % 2 else ()) for number, case in enumerate(cases)]
