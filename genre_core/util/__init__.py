"""Helpers for files, processes, downloads, archives and git."""
