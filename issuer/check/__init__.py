"""The doctor: what is asked is separate from what the answers mean (verdicts.py), so that the rules need no server."""
