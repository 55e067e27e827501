"""The command `check`: it looks at everything that issuing depends on, and changes nothing that stays."""
