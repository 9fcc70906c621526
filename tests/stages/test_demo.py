"""How hard the demo data set is."""

from collections import Counter

import numpy as np
from helpers.project import SPEC
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from genre_core.audio.io import decode
from genre_core.datasets import demo
from genre_core.features.spectrogram import mel_and_mfcc


def test_the_default_demo_is_neither_trivial_nor_hopeless(tmp_path, params):
    """MFCC statistics and an SVM on artists they have not heard: the bar is below 97 %; chance is 10 %."""
    tracks = demo.download(tmp_path, **params.dataset.demo.model_dump())
    assert min(Counter(t.genre for t in tracks).values()) >= 12
    assert params.dataset.demo.seconds >= 12
    x = []
    for track in tracks:
        mfcc = mel_and_mfcc(decode(tmp_path / track.path, sample_rate=SPEC.sample_rate).y, SPEC)[1]
        x.append(np.concatenate([mfcc.mean(0), mfcc.std(0), np.diff(mfcc, axis=0).std(0)]))
    x, y, split = np.array(x), np.array([t.genre for t in tracks]), np.array([t.split for t in tracks])
    machine = make_pipeline(StandardScaler(), SVC(C=10)).fit(x[split == "train"], y[split == "train"])
    assert 0.25 < machine.score(x[split != "train"], y[split != "train"]) < 0.97
