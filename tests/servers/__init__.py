"""The real servers the tests and the demo talk to, started privately on loopback.

Every class here starts one Debian program from a folder of its own, on ports nobody else uses, and ends exactly
what it started. Nothing of the machine's own configuration is read or changed, and pytest is not needed.
"""
