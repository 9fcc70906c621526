"""Pictures, tables and cards, for people."""
