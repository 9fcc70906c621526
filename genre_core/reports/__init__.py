"""Figures, tables and model cards for people to read."""
