"""Certificate Transparency: logs, and a search over many of them. Their answers are hostile input."""
