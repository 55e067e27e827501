"""The issuer: obtains certificates by ACME from CSRs into the database. It never holds a host's private key."""
