"""Features for other programs: Kaggle's table, arrays, and the store as a torch data set."""

import librosa
import numpy as np
import pytest

import genre_core
from genre_core.features import kaggle

# The header of features_30_sec.csv, as it is on Kaggle.
KAGGLE = (
    "filename,length,chroma_stft_mean,chroma_stft_var,rms_mean,rms_var,spectral_centroid_mean,spectral_centroid_var,"
    "spectral_bandwidth_mean,spectral_bandwidth_var,rolloff_mean,rolloff_var,zero_crossing_rate_mean,zero_crossing_rate_var,"
    "harmony_mean,harmony_var,perceptr_mean,perceptr_var,tempo,"
    + ",".join(f"mfcc{i}_{m}" for i in range(1, 21) for m in ("mean", "var"))
    + ",label"
)


def test_the_columns_are_kaggles():
    assert ",".join(kaggle.COLUMNS) == KAGGLE
    assert len(kaggle.DESCRIPTORS) == 57


def test_the_values_are_librosas(rng):
    y = (0.1 * rng.normal(size=3 * 22050)).astype(np.float32)
    y[::11025] = 1
    found = kaggle.descriptors(y)
    assert list(found) == list(kaggle.DESCRIPTORS)
    chroma, centroid = librosa.feature.chroma_stft(y=y), librosa.feature.spectral_centroid(y=y)
    assert found["chroma_stft_mean"] == pytest.approx(chroma.mean(), rel=1e-4)
    assert found["spectral_centroid_var"] == pytest.approx(centroid.var(), rel=1e-4)
    assert found["rolloff_mean"] == pytest.approx(librosa.feature.spectral_rolloff(y=y).mean(), rel=1e-4)
    assert found["mfcc3_var"] == pytest.approx(librosa.feature.mfcc(y=y)[2].var(), rel=1e-3)
    assert found["perceptr_var"] == pytest.approx(librosa.effects.percussive(y).var(), rel=1e-3)
    assert 60 < found["tempo"] < 260


def test_the_package_says_what_it_has():
    assert genre_core.Predictor.__name__ == "Predictor"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        genre_core.nothing  # noqa: B018
