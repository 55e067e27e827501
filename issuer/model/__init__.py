"""The nouns of the issuer as frozen values: enrolments, orders, outcomes, events, limits, errors, settings. Pure."""
