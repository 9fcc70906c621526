"""Audio samples: decoding, effects, quality measures and fingerprints."""
