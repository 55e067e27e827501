"""The issuer's ground: threads, verified TLS, silent parties, a cache. Knows nothing of certificates."""
