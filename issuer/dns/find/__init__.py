"""Finding: which zone holds a name, which servers answer for it, what it resolves to."""
