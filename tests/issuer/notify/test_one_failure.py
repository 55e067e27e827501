"""One failure, told by whoever tells it: the same what, why, what to do and link everywhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from issuer.model.failure import Failure
from tests.issuer.box import Box
from tests.issuer.notify.conftest import heard_by_syslog, told_by_mail
from tests.issuer.signing_requests import csr
from tests.servers.ca_proxy import CaProxy, Reply, Request, json_reply
from tests.servers.smtp import Smtp

Happening = Callable[[Box, CaProxy], Failure]

LABEL = "shop: rsa"  # a colon and a blank, as between what and why
NAME = "shop.lab.test"
RARELY = "tried every 60m only; `issue NAME` once it is mended"
DAMAGED = Failure(
    "the stored CSR of shop: rsa is not usable",
    "it is not a PEM certificate signing request, or a damaged one",
    f"make a new CSR on the host, then `populate --replace '{LABEL}' --csr FILE`; {RARELY}",
    "refused",
)
REFUSED = Failure(
    "the CA at {host} refused",
    "terms: see (https://ca.example/old) first",
    f"open the address that the CA names and do what it asks; {RARELY}",
    "acme-userActionRequired",
    "https://ca.example/terms?version=2",
)


def damaged(box: Box, proxy: CaProxy) -> Failure:
    """A row whose CSR is not one any more."""
    box.database.execute("UPDATE certs SET csr = 'nonsense'")
    box.ok("adopt", LABEL, "--yes")
    return DAMAGED


def refused(box: Box, proxy: CaProxy) -> Failure:
    """A CA that wants something of a person, and names the page."""
    document = {"type": "urn:ietf:params:acme:error:userActionRequired", "detail": REFUSED.why, "instance": REFUSED.url}

    def answer(request: Request) -> Reply | None:
        return json_reply(document, 403) if request.path == "/order-plz" else None

    proxy.before.append(answer)
    host = proxy.directory.split("/")[2]
    return Failure(REFUSED.what.format(host=host), REFUSED.why, REFUSED.hint, REFUSED.reference, REFUSED.url)


@pytest.mark.parametrize("happens", [damaged, refused])
def test_it_reads_the_same_everywhere(
    proxied: Box, proxy: CaProxy, smtp: Smtp, tmp_path: Path, happens: Happening
) -> None:
    """The first run, the next one, status in each form, history, a report, mail and syslog."""
    told_by_mail(proxied, smtp)
    proxied.write(notify={"syslog": True})
    proxied.add_zone(NAME)
    assert proxied.bind is not None
    proxied.bind.reconfigure()
    proxied.ok("populate", LABEL, "--label", "--csr", "-", stdin=csr([NAME]))
    proxied.ok("enable", LABEL)
    failure = happens(proxied, proxy)
    with heard_by_syslog(tmp_path / "log") as lines:
        first = proxied.run("run")
    below = [f"  what to do: {failure.hint}", *([f"  see: {failure.url}"] if failure.url else [])]
    told = [f"error: {LABEL}: failed: {failure.what}: {failure.why}", *below]
    assert first.err.splitlines()[: len(told)] == told
    again = proxied.run("run")
    assert again.err.splitlines()[: len(told)] == [told[0].replace(": failed: ", ": failed before: "), *below]
    assert again.out == "1 failed before\n"  # nobody tried it
    fields = {
        "what": failure.what,
        "why": failure.why,
        "hint": failure.hint,
        "reference": failure.reference,
        "url": failure.url or None,
        "asked": None,
    }
    for words in (("run",), ("status",), ("status", LABEL)):
        [entry] = proxied.run(*words, "--json").report()["certificates"]
        assert entry["failure"] == fields
    one_line = f"{failure.what}: {failure.why} ({failure.hint})" + (f"; see {failure.url}" if failure.url else "")
    assert entry["last_error"] == one_line
    assert f"{LABEL}: last attempt failed: {one_line}" in proxied.run("status").out.splitlines()
    assert one_line in proxied.ok("history", LABEL).out
    shown = " ".join(proxied.run("status", LABEL).out.split())
    see = f" see {failure.url}" if failure.url else ""
    assert f"last error {failure.reference}: {failure.what}: {failure.why} what to do {failure.hint}{see}" in shown
    [letter] = smtp.letters
    see = f" see: {failure.url}" if failure.url else ""
    paragraph = f"what: {failure.what} why: {failure.why} what to do: {failure.hint}{see} Lines that begin"
    assert paragraph in " ".join(letter.text.replace("  > ", " ").split())
    see = f"; see: {failure.url}" if failure.url else ""
    assert f": {failure.what}: {failure.why}; what to do: {failure.hint}{see}; next attempt at" in lines[0]
