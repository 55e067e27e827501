"""The nouns of the agent as frozen values: certificate, offer, probe target, errors. Pure."""
