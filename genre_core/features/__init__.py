"""Spectrograms, MFCC and embeddings, and the HDF5 store for them."""
