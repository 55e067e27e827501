"""What a CA writes where a word or an address belongs: one clear failure, and nothing of it in the world."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from issuer.ca import words
from issuer.model.errors import AcmeProblem
from tests.issuer.box import Box
from tests.servers.ca_proxy import After, CaProxy, Reply, Request, in_directory, json_reply, times

NAME = "www.lab.test"


def changed(path: str, change: Callable[[dict[str, Any]], object]) -> After:
    """A rule that changes the JSON of every good answer from *path*."""

    def rule(request: Request, reply: Reply) -> Reply:
        if path not in request.path or reply.status >= 300:
            return reply
        document = json.loads(reply.body)
        change(document)
        return Reply(reply.status, json.dumps(document).encode(), reply.headers)

    return rule


def _challenges(document: dict[str, Any], **values: str) -> None:
    for challenge in document["challenges"]:
        challenge.update(values)


WORDS: dict[str, tuple[After, str]] = {
    "status": (changed("/my-order/", lambda order: order.update(status="\ud800odd")), r"the order is \ud800odd"),
    "identifier": (
        changed("/authZ/", lambda authorization: authorization["identifier"].update(value="\ud800.lab.test")),
        r"a name that was not ordered: it asks about \ud800.lab.test",
    ),
    "another's name": (
        changed("/authZ/", lambda authorization: authorization["identifier"].update(value="victim.lab.test")),
        "a name that was not ordered: it asks about victim.lab.test",
    ),
    "kind": (changed("/authZ/", lambda item: _challenges(item, type="\x1b[2J\ud800")), r"it offers \x1b[2J\ud800"),
    "address": (
        changed("/authZ/", lambda item: _challenges(item, url=f"https://localhost/{'x' * 100_000}")),
        "the CA sends a URL that is malformed or not https://",
    ),
}


@pytest.mark.parametrize("what", WORDS)
def test_words_that_are_none(proxied: Box, proxy: CaProxy, what: str) -> None:
    """The failure is counted and told, the order is nobody's, and no value was published anywhere."""
    rule, says = WORDS[what]
    name = proxied.enrol(NAME)
    proxied.add_zone("victim.lab.test")
    proxy.after.append(rule)
    outcome = proxied.fails("run", says=[says])
    assert "\x1b" not in outcome.out + outcome.err
    assert proxied.row(name, "count_fail_update") == (1,)
    ended = "ORDERED" if what == "address" else "FAILED"  # odd addresses are no word of the CA about the order
    assert proxied.database.query("SELECT state, lease_owner FROM orders") == [(ended, None)]
    assert proxied.database.query("SELECT * FROM challenges") == []
    assert proxied.txt("victim.lab.test") == set()


@pytest.mark.soak
def test_words_about_a_window_stop_no_renewal(proxied: Box, proxy: CaProxy) -> None:
    """The explanation of a suggested window (RFC 9773 §4.2) is shown and stored as far as that is possible."""
    name = proxied.enrol(NAME)
    proxy.after.append(in_directory(renewalInfo=f"https://localhost:{proxy.port}/ari"))
    proxied.ok("run")
    window = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    answer = json_reply({"suggestedWindow": window, "explanationURL": f"https://x/\ud800{'x' * 100_000}"})
    proxy.before.append(times(99, "/ari", answer))
    proxied.database.execute("UPDATE certs SET due_at = NULL, ari_ask_at = 1")
    assert f"{name}: stored" in proxied.ok("run").out


@pytest.mark.parametrize(
    "value",
    [
        *("http://ca.test/", "ftp://ca.test/", "/relative", "javascript:x", "https://", "https:///path"),
        *("https://ca.test/\x1b", "https://ca.test/\ud800", "https://ca.test/é", "https://ca.test/a b", "\0"),
        *("https://ca.test:99999999/", "https://ca.test:0/", "https://[", f"https://ca.test/{'x' * 2000}", 7, ["x"]),
    ],
)
def test_an_address_that_nobody_is_sent_to(value: object) -> None:
    """Only https:// (RFC 8555 §6.1), in characters of a URL, of a length that a database holds."""
    with pytest.raises(AcmeProblem, match="malformed or not https://"):
        words.url(value)
    assert words.url("https://ca.test:14000/a?b=c") == "https://ca.test:14000/a?b=c"
