"""What the issuer stands on: threads and verified TLS. Knows nothing of certificates."""
