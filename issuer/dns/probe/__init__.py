"""The findings of `check` about names and the zones of their challenges."""
