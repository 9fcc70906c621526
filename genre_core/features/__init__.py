"""Spectrograms, MFCC and embeddings, and the store that keeps them."""
