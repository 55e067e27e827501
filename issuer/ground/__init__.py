"""The issuer's ground: threads, verified TLS, silent parties, a cache, chunks. Knows nothing of certificates."""
