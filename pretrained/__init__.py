"""Scripts that make the packaged weights."""
