"""Spectrogram of musicnn (J. Pons and X. Serra, "musicnn", ISMIR 2019 late-breaking), without the import of torch."""

from genre_core.features.spectrogram import FeatureSpec

SPEC = FeatureSpec(sample_rate=16000, n_fft=512, hop_length=256, n_mels=96, n_mfcc=4, fmin_hz=0.0, fmax_hz=8000.0)
