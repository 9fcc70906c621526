"""Data set `features`: log-mel made elsewhere, and stores written by other code."""

from helpers.made_features import write
from helpers.pipeline import metrics, ran
from helpers.project import run, set_params

from genre_core.corpus.splits import NO_TEST
from genre_core.features.store import FeatureStore


def test_through_the_pipeline(own, tmp_path, rng):
    source = write(tmp_path / "x.npz", rng)
    set_params(
        own,
        dataset__name="features",
        dataset__features__path=str(source),
        segment__protocol="official",
        train__epochs=8,
        train__lr=0.01,
        train__weight_averaging=0.5,
    )
    done = run("dvc", "repro", cwd=own)
    assert ran(done)[:3] == ["download", "audit", "segment"]
    assert "no copies: the data set holds features" in done.stdout
    test = metrics(own, "test")
    assert (test["data_set"], test["scored_on"], test["tracks"]) == ("features made elsewhere (24 tracks)", NO_TEST, 8)
    assert test["track"]["accuracy"] >= 0.75
    assert not test["leaky"]
    with FeatureStore(own / "data/features/original.h5") as store:
        assert (store.spec.hop_length, store.spec.n_mels) == (1709, 64)
        assert store.read("mfcc", "a.0.0").shape == (100, 20)
    done = run("dvc", "exp", "run", "-S", "model.type=musicnn", cwd=own, check=False)
    assert "reads embeddings of audio, and this data set holds features alone" in done.stderr + done.stdout
