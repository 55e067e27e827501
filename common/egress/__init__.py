"""Firewalls: what has to be let through. Its modules are loaded by the commands `egress` alone."""

FORMATS = ("plain", "nftables", "pfsense", "csf")
"""The lists of addresses that common/egress/lists.py writes."""
