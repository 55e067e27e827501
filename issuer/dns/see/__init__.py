"""Seeing: whether every server shows the values that were written."""
