"""Helpers for files, archives, downloads, network addresses, processes, memory and git."""
