"""Notifications by mail and syslog: each change of a certificate is reported once. The only importer of smtplib."""
