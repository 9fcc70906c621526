"""Reproducible music-genre classification: the library behind the pipeline's stages."""

__version__ = "0.1.0"
