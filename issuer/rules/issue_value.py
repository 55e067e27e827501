"""The issue-value of RFC 8659 §4.2: CAA records have it, and the records of dns-persist-01. Pure."""

import re
from collections.abc import Mapping

from common.dataclasses import dataclass

_WSP = " \t"
_TAG = re.compile(r"[A-Za-z0-9]+(-+[A-Za-z0-9]+)*")
_VALUE = re.compile(r"[\x21-\x3a\x3c-\x7e]*")


@dataclass(frozen=True, slots=True)
class IssueValue:
    """*domain* in lower case without a final dot, "" for nobody. *parameters*: by tag in lower case. *fault*: the first
    malformed or repeated parameter, "" for none; then the parameters are not complete."""

    domain: str
    parameters: Mapping[str, str]
    fault: str = ""


def issue_value(text: str) -> IssueValue:
    """*text* parsed. A repeated parameter is a fault, as RFC 8657 §3 has it for its own."""
    domain, _, rest = text.partition(";")
    domain = domain.strip(_WSP).lower().removesuffix(".")
    parameters: dict[str, str] = {}
    for part in rest.split(";") if rest.strip(_WSP) else []:
        tag, equals, value = part.strip(_WSP).partition("=")
        tag, value = tag.rstrip(_WSP).lower(), value.lstrip(_WSP)
        if not equals or not _TAG.fullmatch(tag) or not _VALUE.fullmatch(value) or tag in parameters:
            return IssueValue(domain, parameters, part.strip(_WSP) or "a semicolon at the end")
        parameters[tag] = value
    return IssueValue(domain, parameters)
