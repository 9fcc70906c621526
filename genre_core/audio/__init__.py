"""Audio samples: decoding, effects, measures of quality and fingerprints."""
