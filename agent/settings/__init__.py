"""agent.toml and the service presets, read by one parser into frozen values."""
