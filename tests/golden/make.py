"""Make features.npz: librosa's features of a decaying chord in faint noise. Run: python tests/golden/make.py"""

from pathlib import Path

import librosa
import numpy as np

rng = np.random.default_rng(5)
t = np.arange(22050) / 22050
chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277.18, 329.63, 3520)) * np.exp(-3 * t) * 0.2
y = np.round((chord + rng.normal(0, 0.01, len(t))) * 32768).astype(np.int16)
power = librosa.feature.melspectrogram(y=y.astype(np.float32) / 32768, sr=22050, fmin=20, fmax=11025)
mel = librosa.power_to_db(power, top_db=None)
mfcc = librosa.feature.mfcc(S=mel, n_mfcc=20)
np.savez_compressed(Path(__file__).parent / "features.npz", y=y, mel=mel.T.astype(np.float16), mfcc=mfcc.T.astype(np.float32))
