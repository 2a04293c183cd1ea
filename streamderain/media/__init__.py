"""Media files as both readers and writers meet them: opening, and what damage looks like."""
