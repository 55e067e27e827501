"""A host and a port in one text: what is meant, and what cannot be."""

import pytest

from common.endpoint import parse_endpoint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("ns1.example.test:1", ("ns1.example.test", 1)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
        ("fe80::1%eth0", ("fe80::1%eth0", 53)),
    ],
)
def test_what_is_meant(text: str, expected: tuple[str, int]) -> None:
    """Names, addresses of both families, with a port or without."""
    assert parse_endpoint(text, 53) == expected


@pytest.mark.parametrize(
    "text",
    ["", ":53", "[]", "h:x", "h:0", "h:65536", "h:123456", "[::1]x", "[::1]:x", "1:2:3", "a b", "h/x", "u@h", "h:²"],
)
def test_what_cannot_be_meant(text: str) -> None:
    """An error with a sentence, never a guess."""
    with pytest.raises(ValueError, match=r"names no host|malformed port|does not appear to be"):
        parse_endpoint(text, 53)


def test_a_port_that_has_to_be_there() -> None:
    """Without a default a missing port is an error."""
    assert parse_endpoint("127.0.0.1:9402") == ("127.0.0.1", 9402)
    with pytest.raises(ValueError, match="malformed port"):
        parse_endpoint("127.0.0.1")
