"""Renewal information (RFC 9773) for a CA that has none: a rule of the proxy before it."""

import time
from datetime import UTC, datetime

from tests.servers.ca_proxy import CaProxy, Reply, Request, in_directory, json_reply

HOUR = 3600


class Information:
    """A CA's renewal information that tests may change; *asked* keeps the identifiers that were asked for."""

    def __init__(self, proxy: CaProxy):
        self.start = time.time() + 20 * 24 * HOUR
        self.end = self.start + 24 * HOUR
        self.retry_after = "21600"
        self.explanation = ""
        self.asked: list[str] = []
        proxy.after.append(in_directory(renewalInfo=f"https://localhost:{proxy.port}/renewal-info"))
        proxy.before.append(self._answer)

    def _answer(self, request: Request) -> Reply | None:
        if not request.path.startswith("/renewal-info/"):
            return None
        self.asked.append(request.path.rpartition("/")[2])
        window = {"start": _rfc3339(self.start), "end": _rfc3339(self.end)}
        document = {"suggestedWindow": window, **({"explanationURL": self.explanation} if self.explanation else {})}
        return json_reply(document, Retry_After=self.retry_after)


def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
