"""The keys and the memory in the state folder, which the issuer trusts more than the database."""
