"""A music library: genres for many files, written into files, and tracks that sound alike."""
