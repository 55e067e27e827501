"""Ground floor: what both the issuer and the agent use, and nothing else. Imports neither of them."""
