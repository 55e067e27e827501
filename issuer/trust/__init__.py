"""What the issuer trusts although the database could say otherwise: keys and a memory in its state folder."""
