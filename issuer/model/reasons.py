"""Why a certificate is revoked (RFC 5280 §5.3.1). Pure.

The reasons that are left out are for CAs, or for a pause that no CA of ACME offers.
"""

import re

KEY_COMPROMISE, CESSATION = 1, 5
REASONS = {
    "unspecified": 0,
    "keyCompromise": KEY_COMPROMISE,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": CESSATION,
    "privilegeWithdrawn": 9,
}


def number_of(text: str) -> int:
    """The number of a reason that is given by its name, in any spelling of case and hyphens, or by its number. Raises
    ValueError, with a sentence."""
    wanted = text.replace("-", "").replace("_", "").replace(" ", "").lower()
    for word, number in REASONS.items():
        if wanted in (word.lower(), str(number)):
            return number
    raise ValueError(f"{text!r} is no reason: give one of {', '.join(REASONS)}, or its number")


def words_of(number: int) -> str:
    """The reason with that number, for people: "key compromise"."""
    word = next(word for word, known in REASONS.items() if known == number)
    return re.sub("[A-Z]", lambda capital: f" {capital[0].lower()}", word)
