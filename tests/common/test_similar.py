"""The known word that a mistyped one is most like."""

import pytest

from common.similar import MOST_COMPARED, did_you_mean, similar


@pytest.mark.parametrize(
    ("unknown", "names", "says"),
    [
        (["ww.example.com"], ["www.example.com", "mail.example.com"], "did you mean www.example.com? "),
        (["WWW.exmaple.com"], ["Www.example.com"], "did you mean Www.example.com? "),
        (["ww.example.com", "www.example.co"], ["www.example.com"], "did you mean www.example.com? "),
        (["mail.example.com"], ["www.example.com"], ""),
        ([], ["www.example.com"], ""),
        (["ww.example.com"], ["www.example.com", *map(str, range(MOST_COMPARED))], ""),
    ],
)
def test_names_that_may_be_meant(unknown: list[str], names: list[str], says: str) -> None:
    """Each once; none that only shares its domain, and none among too many."""
    assert did_you_mean(unknown, names) == says


def test_a_word_of_few() -> None:
    """Shorter words are alike sooner."""
    assert (similar("sever", ["server", "port"]), similar("x", ["server", "port"])) == ("server", "")
