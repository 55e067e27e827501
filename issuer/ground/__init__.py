"""The issuer's ground: silent parties, a cache. Knows nothing of certificates."""
