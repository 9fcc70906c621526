"""Files, processes, downloads, archives and git: nothing about music."""
