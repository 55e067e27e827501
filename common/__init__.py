"""Ground floor: what both the issuer and the agent use, and nothing else. Imports neither of them."""

# Written here, because importlib.metadata is slow to import, above all for an agent
VERSION = "0.1.0"
