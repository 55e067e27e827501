"""Telling people what happened to their certificates: once, when it changes. Mail and syslog; smtplib stays in here."""
