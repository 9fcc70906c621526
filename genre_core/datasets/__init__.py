"""Data sets: each module brings its tracks and writes their catalogue."""
