"""Certificate Transparency: logs, and a search over many of them. What they send is hostile input."""
