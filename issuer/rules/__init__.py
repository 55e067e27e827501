"""Decisions, as pure functions: no IO, no clock, no chance. A caller hands in every fact and the moment."""
