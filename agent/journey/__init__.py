"""From an offer to a proven certificate: verify, stage, back up, swap, check, activate, probe, commit or roll back."""
