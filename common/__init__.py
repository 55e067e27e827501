"""Ground floor: what both the issuer and the agent use, and nothing else. Imports neither of them."""

# Written here and not asked of the installed package: what can be asked is dear to import, for an agent above all
VERSION = "0.1.0"
