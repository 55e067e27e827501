"""Notifications by mail and syslog: each change of a certificate is reported once."""
