"""Decisions, as pure functions: no IO, no clock. A caller hands in every fact and the moment."""
